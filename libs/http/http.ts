/** What services use of this folder: the only one that serves HTTP to people and programs. */
export { connectRoutes } from './connect.ts';
export type { ConnectService, UnaryContext } from './connect.ts';
export { errorAnswer, errorJson, HttpProblem } from './errors.ts';
export { Exchange } from './exchange.ts';
export type { HttpCaller, HttpGate } from './gate.ts';
export { startHttpServer } from './server.ts';
export type { HttpTls, Listener } from './listening.ts';
export type { HttpServerOptions, Route } from './server.ts';
export { Pace } from './pace.ts';
export { ResponseStream } from './response-stream.ts';
export type { StreamFormat } from './response-stream.ts';
