/**
 * `npm test`: every stage of stages.mjs, one after the other, each with its time (neighbours of one
 * `group` together: none of them needs more than one processor); of one that fails, each test that did
 * with its reason, then the whole output; at the end one line `N passed, M failed` over all of them.
 *
 *   npm test                        everything but what takes a night
 *   npm test -- --nightly           everything
 *   npm test -- lint unit           only these stages
 *   npm test -- --also-node 24      the unit tests on that Node as well, fetched from the registry
 *
 * A stage fails by its exit code, by its time, and by what would otherwise hide a gap: a skipped
 * test, a test file that could not be loaded, a Vitest that ran nothing.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';

const OUTPUT_CHARS_MAX = 2_000_000;
const REASON_LINES = 12;
const REASON_CHARS = 1200;

const plan = await planFrom(process.argv.slice(2));
const directory = mkdtempSync(join(tmpdir(), 'meridian-test-'));
const total = { passed: 0, failed: 0 };
const failures = [];
const running = new Set();

// Ctrl-C ends the stage that runs, with everything it started.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    for (const child of running) endGroup(child, 'SIGTERM');
    rmSync(directory, { recursive: true, force: true });
    process.exit(130);
  });
}

for (const stages of neighbours(plan)) await Promise.all(stages.map(runAndTell));

rmSync(directory, { recursive: true, force: true });
if (failures.length > 0) console.log(`failed: ${failures.join(', ')} (output above)`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;

/** Runs of stages with the same group; a stage without one is alone. */
function neighbours(stages) {
  const out = [];
  for (const stage of stages) {
    const group = out.at(-1)?.[0].group;
    if (group !== undefined && group === stage.group) out.at(-1).push(stage);
    else out.push([stage]);
  }
  return out;
}

async function runAndTell(stage) {
  const started = Date.now();
  console.log(`      ${stage.name} ...`);
  const { passed, failed, reasons = [], output } = await run(stage);
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  total.passed += passed;
  total.failed += failed;
  const count = stage.vitest ? ` (${passed} passed${failed > 0 ? `, ${failed} failed` : ''})` : '';
  console.log(`${failed === 0 ? 'ok   ' : 'FAIL '} ${stage.name}${count} in ${seconds} s`);
  if (failed === 0) {
    const last = output.trimEnd().split('\n').at(-1) ?? '';
    if (last.startsWith('{')) console.log(`      ${last}`);
  } else {
    failures.push(stage.name);
    for (const reason of reasons) console.log(reason);
    console.log(`${'-'.repeat(100)}\n${output.trimEnd()}\n${'-'.repeat(100)}`);
  }
}

async function planFrom(args) {
  const names = [];
  const extra = [];
  let nightly = false;
  let module = new URL('stages.mjs', import.meta.url);
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--nightly') nightly = true;
    else if (args[i] === '--also-node') extra.push(args[++i]);
    else if (args[i] === '--stages') module = pathToFileURL(args[++i]);
    else names.push(args[i]);
  }
  const { stages, unitOnNode } = await import(module.href);
  const known = stages.map((stage) => stage.name);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    console.error(`no stage ${unknown.join(', ')}; there are: ${known.join(', ')}`);
    process.exit(2);
  }
  const chosen = stages.filter((stage) =>
    names.length === 0 ? nightly || !stage.nightly : names.includes(stage.name),
  );
  return [...chosen, ...extra.map((major) => unitOnNode(major))];
}

async function run(stage) {
  let path = process.env.PATH ?? '';
  try {
    if (stage.prepare !== undefined) path = `${stage.prepare()}${delimiter}${path}`;
  } catch (error) {
    return { passed: 0, failed: 1, output: error.message };
  }
  const report = join(directory, `${stage.name.replaceAll(' ', '-')}.json`);
  const [command, ...args] = stage.command;
  if (stage.vitest) {
    args.push('--reporter=default', '--reporter=json', `--outputFile.json=${report}`);
  }
  const result = await execute(command, args, path, stage.minutesMax);
  if (!stage.vitest) {
    return { passed: result.ok ? 1 : 0, failed: result.ok ? 0 : 1, output: result.output };
  }
  const counted = count(report);
  const problems = [...counted.problems];
  if (!result.ok && counted.failed + problems.length === 0) problems.push('Vitest itself failed');
  return {
    passed: counted.passed,
    failed: counted.failed + problems.length,
    reasons: [...problems, ...counted.reasons],
    output: result.output,
  };
}

function execute(command, args, path, minutesMax) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      detached: true, // a group of its own, so that its time limit ends all of it
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: path, NO_COLOR: '1' },
    });
    running.add(child);
    let output = '';
    const take = (text) => {
      output += text;
      // The end tells what failed; a stage that floods its output must not take the memory.
      if (output.length > 2 * OUTPUT_CHARS_MAX) output = output.slice(-OUTPUT_CHARS_MAX);
    };
    child.stdout.setEncoding('utf8').on('data', take);
    child.stderr.setEncoding('utf8').on('data', take);
    const timer = setTimeout(() => {
      take(`\nstopped: it took longer than ${minutesMax} minutes\n`);
      endGroup(child, 'SIGKILL');
    }, minutesMax * 60_000);
    const done = (ok) => {
      clearTimeout(timer);
      running.delete(child);
      resolve({ ok, output });
    };
    child.once('error', (error) => {
      take(`cannot start ${command}: ${error.message}\n`);
      done(false);
    });
    child.once('close', (code) => done(code === 0));
  });
}

function endGroup(child, signal) {
  try {
    if (child?.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    // It has just ended.
  }
}

/** Vitest's counts, and what they leave out. */
function count(report) {
  let json;
  try {
    json = JSON.parse(readFileSync(report, 'utf8'));
  } catch {
    return { passed: 0, failed: 0, problems: ['Vitest left no report'], reasons: [] };
  }
  const problems = json.testResults
    .filter((file) => file.status === 'failed' && file.assertionResults.length === 0)
    .map((file) => `could not be loaded: ${file.name}`);
  const skipped = json.numPendingTests + json.numTodoTests;
  if (skipped > 0) problems.push(`${skipped} tests were skipped; none may be`);
  if (json.numTotalTests === 0) problems.push('no test was run');
  const reasons = json.testResults.flatMap((file) =>
    file.assertionResults
      .filter((test) => test.status === 'failed')
      .map((test) => reasonOf(relative(process.cwd(), file.name), test)),
  );
  return { passed: json.numPassedTests, failed: json.numFailedTests, problems, reasons };
}

/** Where it is, and the first lines of why. */
function reasonOf(file, { fullName, failureMessages }) {
  const why = failureMessages.join('\n').split('\n').slice(0, REASON_LINES).join('\n      ');
  return `  x   ${file}: ${fullName}\n      ${why.slice(0, REASON_CHARS)}`;
}
