/** What services and the client library use of this folder: the only one that knows @grpc/grpc-js. */
export { bind } from './bind.ts';
export type { CallContext, Handlers, ServiceBinding } from './bind.ts';
export { connect } from './channel.ts';
export type {
  BidiHandlers,
  Channel,
  DuplexStream,
  ReadStream,
  StreamHandlers,
  UnaryOptions,
} from './channel.ts';
export { serializer } from './codec.ts';
export { REFUSALS } from './connections.ts';
export type { ConnectionFigures, Refusal } from './connections.ts';
export { Endpoint, Rounds } from './endpoints.ts';
export type { Caller, ConnectionFacts, Gate } from './gate.ts';
export { startServer } from './server.ts';
export type { RpcServer, RpcServerOptions, ServerSecurity } from './server.ts';
export { DEFAULT_CHANNEL_LIMITS, DEFAULT_SERVER_LIMITS } from './settings.ts';
export type { ChannelLimits, ServerLimits } from './settings.ts';
export type { BidiStream, ServerStream } from './streams.ts';
export type { ChannelSecurity } from './tls.ts';
