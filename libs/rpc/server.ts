/**
 * A gRPC server: the services it is given, health (grpc.health.v1) and reflection. Owns listening,
 * limits, and stopping. Does not own the process: it never exits and never logs; what must be known
 * goes to `onError` and `onWarning`.
 */
import { toBinary } from '@bufbuild/protobuf';
import type { DescFile } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { MeridianError } from '../errors/errors.ts';
import type { Credentials } from '../security/credentials.ts';
import type { Expected } from '../security/identity.ts';
import type { Admission, ServiceBinding } from './bind.ts';
import { definitionOf } from './codec.ts';
import { Connections } from './connections.ts';
import type { ConnectionFigures, Refusal } from './connections.ts';
import { interceptorOf, tokenOf } from './gate.ts';
import type { Gate } from './gate.ts';
import { DEFAULT_SERVER_LIMITS, serverOptions } from './settings.ts';
import type { ServerLimits } from './settings.ts';
import { ServerTls } from './tls.ts';
import { openServerWindow, probeWindow } from './window.ts';

export interface RpcServerOptions {
  /** host:port; port 0 takes a free one. */
  readonly address: string;
  readonly services: readonly ServiceBinding[];
  readonly limits?: Partial<ServerLimits>;
  /** Default: none; everybody who can connect may call everything. */
  readonly security?: ServerSecurity | null | undefined;
  /** A connection was refused or cut off; may come often. */
  readonly onRefused?: (why: Refusal, address: string, detail: string) => void;
  /**
   * An error of a handler that is no MeridianError, once per error. The call has failed as INTERNAL;
   * whether the process may go on (an assertion?) is for the service to say.
   */
  readonly onError: (error: unknown, method: string) => void;
  /** Something works worse than it should, for example the receive window could not be opened. */
  readonly onWarning: (message: string) => void;
}

/** Who may connect and call. */
export interface ServerSecurity {
  readonly credentials: Credentials;
  /** What the certificate of a client must name, when it shows one. */
  readonly expected: Expected;
  /** Without such a certificate a connection ends in the handshake. */
  readonly strict: boolean;
  readonly gate: Gate;
}

export interface RpcServer {
  readonly connections: Readonly<ConnectionFigures>;
  /** Where it listens. */
  readonly port: number;
  /** Answer of the health service; false until told otherwise. */
  setServing(serving: boolean): void;
  /**
   * Says NOT_SERVING, takes no new calls, waits up to `graceMs` for those that run, then cuts them
   * off. Streams that never end by themselves should be ended by the service before.
   */
  close(graceMs: number): Promise<void>;
}

type PackageDefinition = ConstructorParameters<typeof ReflectionService>[0];

/** Errors: REFUSED when the address cannot be listened on; names it and says what to do. */
export async function startServer(options: RpcServerOptions): Promise<RpcServer> {
  // What grpc-js would print by itself comes back as an error or a warning here.
  setLogVerbosity(logVerbosity.NONE);
  const limits = { ...DEFAULT_SERVER_LIMITS, ...options.limits };
  const { security = null, onRefused = () => undefined } = options;
  const { handshakeMs } = limits;
  const tls = security === null ? null : new ServerTls({ ...security, handshakeMs });
  const expected = security?.expected ?? null;
  const connections = new Connections({ limits, tls, expected, onRefused });
  const gate = security?.gate ?? null;
  const interceptors = [interceptorOf(gate, connections)];
  const server = new Server({ ...serverOptions(limits), interceptors });
  const admission: Admission | null =
    gate === null
      ? null
      : (method, peer, metadata) =>
          gate.admit(method, connections.of(peer), tokenOf(metadata), false);
  for (const binding of options.services) {
    server.addService(
      definitionOf(binding.service, binding.serializers),
      binding.implement(options.onError, admission),
    );
  }
  const health = addHealth(server, options.services);
  addReflection(server, options.services);
  openServerWindow(server, limits.windowBytes);
  connections.watch(server);
  const port = await listen(server, options.address, tls ?? ServerCredentials.createInsecure());
  await checkWindow(options, port, limits.windowBytes);
  return {
    port,
    connections: connections.figures,
    setServing: (serving) => {
      setStatus(health, options.services, serving);
    },
    close: (graceMs) => {
      setStatus(health, options.services, false);
      return stop(server, graceMs);
    },
  };
}

function listen(server: Server, address: string, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (error === null) resolve(port);
      else reject(cannotListen(address, error));
    });
  });
}

function cannotListen(address: string, cause: Error): MeridianError {
  const advice = cause.message.includes('EADDRINUSE')
    ? 'another process listens there: stop it, or choose another address'
    : /EADDRNOTAVAIL|ENOTFOUND|resolution/.test(cause.message)
      ? 'this machine has no such address: use one of its own, or 0.0.0.0 for all'
      : cause.message.includes('EACCES')
        ? 'not permitted: ports below 1024 need privileges'
        : 'expected host:port';
  const message = `cannot listen on ${address}: ${advice} (${cause.message})`;
  return new MeridianError('REFUSED', message, { details: { address }, cause });
}

function stop(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
    }, graceMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function addHealth(server: Server, services: readonly ServiceBinding[]): HealthImplementation {
  const health = new HealthImplementation();
  setStatus(health, services, false);
  health.addToServer(server);
  return health;
}

/** The empty name stands for the server as a whole. */
function setStatus(
  health: HealthImplementation,
  services: readonly ServiceBinding[],
  serving: boolean,
): void {
  for (const name of ['', ...services.map((binding) => binding.service.typeName)]) {
    health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
  }
}

function addReflection(server: Server, services: readonly ServiceBinding[]): void {
  const files = new Map<string, Buffer>();
  const add = (file: DescFile): void => {
    if (files.has(file.proto.name)) return;
    files.set(file.proto.name, Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)));
    file.dependencies.forEach(add);
  };
  services.forEach((binding) => {
    add(binding.service.file);
  });
  // Health is left out: proto-loader's descriptor of it is one that strict tools refuse, and every
  // tool that asks for health brings its own.
  const definitions = {
    services: { format: '', type: {}, fileDescriptorProtos: [...files.values()] },
  };
  new ReflectionService(definitions as PackageDefinition).addToServer(server);
}

const PROBE_TIMEOUT_MS = 2_000;

async function checkWindow(
  options: RpcServerOptions,
  port: number,
  windowBytes: number,
): Promise<void> {
  const host = options.address.slice(0, options.address.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  const local = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const own = options.security?.credentials ?? null;
  const granted = await probeWindow({ host: local, port }, own, windowBytes, PROBE_TIMEOUT_MS);
  if (granted.perCall >= windowBytes && granted.perConnection >= windowBytes) return;
  options.onWarning(
    `the receive window of ${options.address} could not be opened: expected ${windowBytes} bytes, ` +
      `granted ${granted.perCall} a call and ${granted.perConnection} a connection; ` +
      'uploads over long distances will be slow. Was @grpc/grpc-js upgraded?',
  );
}
