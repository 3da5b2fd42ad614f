/**
 * `npm run fuzz -- [target] [--seconds S] [--seed N]`. Runs the targets one after the other in a worker, so
 * that an input which never ends can be named: this thread watches, and holds the input that is
 * being judged. What is found is written to `fuzz-findings/`, as a corpus file.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { fuzz } from './campaign.ts';
import type { Campaign } from './campaign.ts';
import { allTargets } from './targets.ts';

const SECONDS = 15;
/** Without an end for so long, on however busy a machine, an input hangs. */
const HANG_MS = 30_000;
const INPUT_BYTES_MAX = 64 * 1024;

const USAGE = `usage: npm run fuzz -- [target] [--seconds S] [--seed N] [--list]
  target       one of --list; all of them otherwise
  --seconds S  for each target (default ${SECONDS})
  --seed N     of the inputs (default: from the clock)
`;

interface Order {
  readonly target: string;
  readonly seconds: number;
  readonly seed: number;
  readonly shared: SharedArrayBuffer;
}

if (isMainThread) await main();
else await work(workerData as Order);

async function work({ target: name, seconds, seed, shared }: Order): Promise<void> {
  const target = (await allTargets()).find((it) => it.name === name);
  if (target === undefined) throw new Error(`no target ${name}`);
  const counters = new Int32Array(shared, 0, 2);
  const input = new Uint8Array(shared, 8);
  const onInput = (bytes: Uint8Array): void => {
    input.set(bytes.subarray(0, INPUT_BYTES_MAX));
    Atomics.store(counters, 1, bytes.length);
    Atomics.add(counters, 0, 1);
  };
  parentPort?.postMessage(fuzz(target, { seconds, inputsMax: Infinity, seed, onInput }));
}

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: 'string', default: String(SECONDS) },
      seed: { type: 'string' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const names = (await allTargets()).map(({ name }) => name);
  const [seconds, seed] = [Number(values.seconds), Number(values.seed ?? Date.now() % 1_000_000)];
  const unknown = positionals.find((it) => !names.includes(it));
  if (values.list) process.stdout.write(`${names.join('\n')}\n`);
  else if (values.help) process.stdout.write(USAGE);
  else if (unknown !== undefined || !(seconds > 0) || !Number.isSafeInteger(seed)) {
    process.stderr.write(unknown === undefined ? USAGE : `no target ${unknown}\n${USAGE}`);
    process.exitCode = 2;
  } else {
    const chosen = positionals.length === 0 ? names : positionals;
    let findings = 0;
    for (const target of chosen) findings += await runOne(target, seconds, seed);
    const again = `npm run fuzz -- --seed ${seed} --seconds ${seconds}`;
    const end = { targets: chosen.length, findings, seed, again };
    process.stdout.write(`${JSON.stringify(end)}\n`);
    process.exitCode = findings === 0 ? 0 : 1;
  }
}

/** How many findings. */
async function runOne(target: string, seconds: number, seed: number): Promise<number> {
  const shared = new SharedArrayBuffer(8 + INPUT_BYTES_MAX);
  const order: Order = { target, seconds, seed, shared };
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: order });
  const over = new AbortController();
  const done = new Promise<Campaign>((resolve, reject) => {
    worker.on('message', resolve);
    worker.on('error', reject);
  });
  try {
    const campaign = await Promise.race([done, watch(order, over.signal)]);
    const figures = `${campaign.inputs} inputs, ${campaign.accepted} accepted`;
    process.stdout.write(`${target.padEnd(18)} ${figures}, ${campaign.findings.length} findings\n`);
    for (const { what, input } of campaign.findings) tell(target, what, input);
    return campaign.findings.length;
  } finally {
    over.abort();
    await worker.terminate();
  }
}

/** Resolves, with the input, when one has been judged for too long. */
async function watch({ target, shared }: Order, until: AbortSignal): Promise<Campaign> {
  const counters = new Int32Array(shared, 0, 2);
  let [last, since] = [-1, performance.now()];
  for (;;) {
    await pause(200, undefined, { signal: until, ref: false }).catch(() => undefined);
    const now = Atomics.load(counters, 0);
    if (now !== last) [last, since] = [now, performance.now()];
    const isOver = until.aborted || performance.now() - since > HANG_MS;
    if (!isOver) continue;
    const bytes = Atomics.load(counters, 1);
    const input = Uint8Array.from(new Uint8Array(shared, 8, Math.min(bytes, INPUT_BYTES_MAX)));
    const findings = [{ target, what: `hangs for more than ${HANG_MS} ms`, input }];
    return { target, inputs: now, accepted: 0, findings };
  }
}

function tell(target: string, what: string, input: Uint8Array): void {
  const hex = Buffer.from(input).toString('hex');
  mkdirSync('fuzz-findings', { recursive: true });
  const name = join('fuzz-findings', `${target}-${Date.now()}-${hex.length / 2}.hex`);
  writeFileSync(name, `${hex}\n`);
  const shown = hex.length > 400 ? `${hex.slice(0, 400)}…` : hex;
  process.stdout.write(`  ${what.split('\n').slice(0, 6).join('\n  ')}\n  ${shown}\n  ${name}\n`);
}
