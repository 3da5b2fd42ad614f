/** `meridian bench`: the append load of services/bench, as a process; its table, or its figures as JSON. */
import { MeridianError } from '../../../libs/errors/errors.ts';
import type { JournalOptions } from '../../../libs/client/types.ts';
import { UsageError } from '../arguments.ts';
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { runProgram } from '../programs.ts';

export async function run(call: Invocation): Promise<number> {
  const { values, output, command } = call;
  const inflight = values.text('inflight');
  if (inflight !== undefined && !/^[1-9]\d*(,[1-9]\d*)*$/.test(inflight)) {
    throw new UsageError(`--inflight ${inflight}: expected numbers with commas`, command);
  }
  const endpoint = values.flag('throw-away') ? null : await endpointIfAny(call);
  if (endpoint === null) output.note('starting a journal on this machine to measure');
  const args = ['append'];
  const pass = (name: string, value: string | number | undefined): void => {
    if (value !== undefined) args.push(`--${name}`, String(value));
  };
  pass('seconds', values.number('seconds'));
  pass('bytes', values.number('bytes'));
  pass('inflight', inflight);
  pass('ack', values.text('ack')?.toUpperCase());
  if (endpoint !== null) {
    const { cluster, instance, replicas } = endpoint;
    pass('cluster', cluster);
    pass('instance', instance);
    pass('replicas', replicas.map(({ region, address }) => `${region}=${address}`).join(','));
  }
  output.note('warming up for some 20 seconds, so that compiling is not measured');
  const signal = call.interrupted();
  const result = await runProgram({
    program: 'bench/main.js',
    args,
    signal,
    onLine: (line) => {
      if (!output.json && !line.startsWith('{')) output.raw(`${line}\n`);
    },
  }).catch((error: unknown) => {
    if (signal.aborted) return null;
    throw error;
  });
  if (result === null) return EXIT.interrupted;
  if (result.code !== 0) {
    throw new MeridianError('UNAVAILABLE', `the measurement failed: ${result.stderr.trim()}`);
  }
  const figures = result.stdout.trimEnd().split('\n').at(-1) ?? '{}';
  if (output.json) output.document(JSON.parse(figures) as object, () => '');
  return EXIT.ok;
}

/** Nothing said at all is no mistake here; half of it is. */
async function endpointIfAny(call: Invocation): Promise<JournalOptions | null> {
  try {
    return await call.endpoint();
  } catch (error) {
    if (error instanceof UsageError && error.message.startsWith('which journal?')) return null;
    throw error;
  }
}
