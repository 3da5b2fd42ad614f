/**
 * Every number gRPC is run with, in one place and explicit: grpc-js' own defaults are meant for small
 * calls on a good network (no keepalive, unlimited streams, two minutes between two attempts to
 * connect, a proxy taken from the environment).
 */
import type { ChannelOptions, ServerOptions } from '@grpc/grpc-js';
import { SERVER_NAME } from './tls.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

export interface ServerLimits {
  /** Largest message taken, bytes. Default 4 MiB and 64 KiB for the envelope. */
  readonly receiveBytesMax: number;
  /** Largest message sent, bytes. Default 32 MiB. */
  readonly sendBytesMax: number;
  /** Calls open at once on one connection; more wait at the client. Default 256. */
  readonly callsPerConnectionMax: number;
  /** Connections at once; more are closed as they come. Default 4096. */
  readonly connectionsMax: number;
  /** Connections at once from one address. Default 1024. */
  readonly connectionsPerAddressMax: number;
  /** From a connection's begin to its first HTTP/2 frame, TLS included, ms. Default 5000. */
  readonly handshakeMs: number;
  /** A connection without calls is closed after this, ms. Default 5 minutes. */
  readonly idleMs: number;
  /** Names and values of one call's metadata, bytes. Default 16 KiB. */
  readonly metadataBytesMax: number;
  /** Calls that one connection may cancel a second, for long; ten times as many at once. Default 100. */
  readonly resetsPerSecondMax: number;
  /** Memory of one connection, MiB: frames that wait to be sent, headers. Default 256. */
  readonly connectionMemoryMiB: number;
  /** Bytes in flight towards this server, per connection and per call. Default 16 MiB. */
  readonly windowBytes: number;
}

export const DEFAULT_SERVER_LIMITS: ServerLimits = {
  receiveBytesMax: 4 * MIB + 64 * KIB,
  sendBytesMax: 32 * MIB,
  callsPerConnectionMax: 256,
  connectionsMax: 4096,
  connectionsPerAddressMax: 1024,
  handshakeMs: 5_000,
  idleMs: 300_000,
  metadataBytesMax: 16 * KIB,
  resetsPerSecondMax: 100,
  connectionMemoryMiB: 256,
  windowBytes: 16 * MIB,
};

export interface ChannelLimits {
  /** Largest message taken, bytes. Default 32 MiB. */
  readonly receiveBytesMax: number;
  /** Largest message sent, bytes. Default 32 MiB; the server's own limit may be lower. */
  readonly sendBytesMax: number;
  /**
   * Bytes in flight towards this client, per connection and per call: about twice bandwidth times
   * round trip. Default 16 MiB.
   */
  readonly windowBytes: number;
  /** Pause after the first failed attempt to connect, ms; doubles up to the maximum. Default 50. */
  readonly reconnectMinMs: number;
  /** Longest pause between two attempts to connect, ms. Default 1000. */
  readonly reconnectMaxMs: number;
}

export const DEFAULT_CHANNEL_LIMITS: ChannelLimits = {
  receiveBytesMax: 32 * MIB,
  sendBytesMax: 32 * MIB,
  windowBytes: 16 * MIB,
  reconnectMinMs: 50,
  reconnectMaxMs: 1000,
};

/** A connection that is silent this long is asked whether it lives, and given up this much later. */
const KEEPALIVE_TIME_MS = 10_000;
const KEEPALIVE_TIMEOUT_MS = 3_000;

export function serverOptions(limits: ServerLimits): ServerOptions {
  return {
    'grpc.keepalive_time_ms': KEEPALIVE_TIME_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc.max_receive_message_length': limits.receiveBytesMax,
    'grpc.max_send_message_length': limits.sendBytesMax,
    'grpc.max_concurrent_streams': limits.callsPerConnectionMax,
    'grpc.max_connection_idle_ms': limits.idleMs,
    'grpc-node.max_session_memory': limits.connectionMemoryMiB,
    // Not switched off: without channelz, `forceShutdown` of grpc-js 1.14.7 leaves connections open.
    'grpc.enable_channelz': 1,
  };
}

export function channelOptions(limits: ChannelLimits, secure: boolean): ChannelOptions {
  return {
    'grpc.keepalive_time_ms': KEEPALIVE_TIME_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.max_receive_message_length': limits.receiveBytesMax,
    'grpc.max_send_message_length': limits.sendBytesMax,
    'grpc-node.flow_control_window': limits.windowBytes,
    'grpc.initial_reconnect_backoff_ms': limits.reconnectMinMs,
    'grpc.max_reconnect_backoff_ms': limits.reconnectMaxMs,
    // A channel is a connection: two channels to one address must not share its fate.
    'grpc.use_local_subchannel_pool': 1,
    // Who may be retried, and where, only the caller knows.
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_http_proxy': 0,
    'grpc.client_idle_timeout_ms': 2_147_483_647,
    'grpc.enable_channelz': 0,
    ...(secure ? { 'grpc.ssl_target_name_override': SERVER_NAME } : {}),
  };
}
