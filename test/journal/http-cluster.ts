/** Three real replicas, each with an HTTP listener of its own. */
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import { Cluster } from './cluster.ts';

export class HttpCluster extends Cluster {
  httpPorts: number[] = [];
  readonly #timings: object;
  readonly #limits: object;

  constructor(timings: object = {}, limits: object = {}) {
    super();
    this.#timings = timings;
    this.#limits = limits;
  }

  protected override async beforeStart(): Promise<void> {
    this.httpPorts = await reservePorts(3);
    releasePorts(this.httpPorts);
  }

  /** `http://127.0.0.1:…` */
  baseOf(replica: number): string {
    return `http://127.0.0.1:${this.httpPorts[replica] ?? 0}`;
  }

  override configOf(replica: number): Record<string, unknown> {
    return {
      ...super.configOf(replica),
      httpListen: `127.0.0.1:${this.httpPorts[replica] ?? 0}`,
      timings: this.#timings,
      limits: this.#limits,
    };
  }
}
