import { drawOptions } from './options.ts';
import { run } from './run.ts';
const from = Number(process.argv[2] ?? 1);
const n = Number(process.argv[3] ?? 1);
const traceIt = process.argv[4] === 'trace';
const began = performance.now();
let sim = 0,
  ops = 0,
  bad = 0,
  steps = 0,
  events = 0;
const acc: Record<string, number> = {};
const rules: Record<string, number[]> = {};
for (let seed = from; seed < from + n; seed++) {
  const result = run(drawOptions(seed), {
    print: traceIt
      ? (l) => {
          console.log(l);
        }
      : null,
  });
  sim += result.simulatedSeconds;
  steps += result.steps;
  events += result.events;
  ops += result.accounts.appends + result.accounts.reads;
  for (const [k, v] of Object.entries(result.accounts)) acc[k] = (acc[k] ?? 0) + v;
  if (result.violation) {
    bad++;
    (rules[result.violation.rule] ??= []).push(seed);
    if (bad < 6) console.log(seed, result.violation.rule, result.violation.message);
  }
}
const wall = (performance.now() - began) / 1000;
console.log(
  JSON.stringify({ n, bad, sim, wall, speedup: sim / wall, ops, steps, events, acc, rules }),
);
