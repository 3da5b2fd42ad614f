/**
 * A scenario: faults in time over workloads on a cluster, and what must come of it beyond the judgement of
 * every history. Data and one function; running it is run-scenario.ts's.
 */
import type { Size } from '../cluster/layout.ts';
import type { WideArea } from '../cluster/wide-area.ts';
import type { Workload } from '../traffic/workload.ts';
import type { Stage } from './stage.ts';

export interface Plan {
  /** `net/isolate-one`. */
  readonly name: string;
  readonly about: string;
  /** Rows of the fault catalogue that it stands for: `N1`. */
  readonly rows: readonly string[];
  readonly size: Size;
  /** Default europe. */
  readonly area?: WideArea;
  /** true: it needs, and leaves, a cluster of its own. */
  readonly fresh?: true;
  /** Successful operations below which the run proves nothing and is invalid. */
  readonly operationsMin: number;
  /** Faults come and go; whatever it leaves is healed. Repeated when a run is longer. */
  readonly schedule: (stage: Stage) => Promise<void>;
}

export interface Scenario extends Plan {
  /** Beside the fleet, which is always there. */
  readonly workloads: readonly Workload[];
}
