/**
 * What runs on this machine and on which ports: three regions, two journal instances of three
 * replicas, one crossbar, Postgres and sidecar per region. Names and numbers only; how each process
 * is configured and started is elsewhere.
 */
import { isPortFree, reservePorts } from '../../libs/processes/ports.ts';
import { MeridianError } from '../../libs/errors/errors.ts';

export const REGIONS = ['a', 'b', 'c'] as const;
export type Region = (typeof REGIONS)[number];
export const INSTANCES = ['one', 'two'] as const;
export type Instance = (typeof INSTANCES)[number];

/** Where the primary is; the other regions have replicas. */
export const PRIMARY: Region = 'a';
export const CLUSTER = 'local';

export interface RegionPorts {
  readonly postgres: number;
  /** Clients and peers of each instance's replica in this region. */
  readonly journal: Readonly<Record<Instance, number>>;
  readonly peer: Readonly<Record<Instance, number>>;
  /** JSON over HTTP and the console of each. */
  readonly http: Readonly<Record<Instance, number>>;
  readonly crossbar: number;
  readonly sidecar: number;
}

export type Ports = Readonly<Record<Region, RegionPorts>>;

/** Where `npm start` listens when nobody says otherwise, below every system's ephemeral range. */
export const USUAL_FIRST_PORT = 25_400;

/** `first` + 1 to 3 is Postgres in A, B and C; 11 … journals; 31 … crossbars; 41 … sidecars; 51 … consoles. */
export function portsFrom(first: number): Ports {
  return regions((_, i) => ({
    postgres: first + 1 + i,
    journal: { one: first + 11 + i, two: first + 21 + i },
    peer: { one: first + 14 + i, two: first + 24 + i },
    http: { one: first + 51 + i, two: first + 61 + i },
    crossbar: first + 31 + i,
    sidecar: first + 41 + i,
  }));
}

export function portList(ports: Ports): number[] {
  return REGIONS.flatMap((region) => {
    const { postgres, journal, peer, http, crossbar, sidecar } = ports[region];
    const ofReplicas = [journal, peer, http].flatMap(({ one, two }) => [one, two]);
    return [postgres, ...ofReplicas, crossbar, sidecar];
  });
}

/** Numbers nobody uses, for runs that do not care which. */
export async function anyPorts(): Promise<Ports> {
  const free = await reservePorts(portList(portsFrom(0)).length);
  const next = (): number => free.pop() ?? 0;
  return regions(() => ({
    postgres: next(),
    journal: { one: next(), two: next() },
    peer: { one: next(), two: next() },
    http: { one: next(), two: next() },
    crossbar: next(),
    sidecar: next(),
  }));
}

/**
 * Ports in order of preference: what the user asks for (REFUSED when one is taken), what the
 * state directory had, the usual ones, any.
 */
export async function choosePorts(asked: number | null, before: Ports | null): Promise<Ports> {
  if (asked !== null) {
    const ports = portsFrom(asked);
    const taken = await takenPorts(ports);
    if (taken.length === 0) return ports;
    throw new MeridianError(
      'REFUSED',
      `port ${taken.join(', ')} is in use: end that program or choose another --ports`,
    );
  }
  for (const ports of [before, portsFrom(USUAL_FIRST_PORT)]) {
    if (ports !== null && (await takenPorts(ports)).length === 0) return ports;
  }
  return anyPorts();
}

function regions(of: (region: Region, index: number) => RegionPorts): Ports {
  return { a: of('a', 0), b: of('b', 1), c: of('c', 2) };
}

async function takenPorts(ports: Ports): Promise<number[]> {
  const taken: number[] = [];
  for (const port of portList(ports)) if (!(await isPortFree(port))) taken.push(port);
  return taken;
}
