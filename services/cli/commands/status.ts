/** `meridian status`: asks every replica, once or again and again. */
import { setTimeout as pause } from 'node:timers/promises';
import { problemsOf } from '../diagnosis.ts';
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { Replicas } from '../replicas.ts';
import { statusText } from '../status-text.ts';
import { instanceView } from '../status-view.ts';

const CLEAR = '\u001b[2J\u001b[H';

export async function run(call: Invocation): Promise<number> {
  const replicas = new Replicas(await call.endpoint());
  const everyMs = call.values.number('watch');
  try {
    if (everyMs === undefined) return await show(call, replicas, false);
    const signal = call.interrupted();
    while (!signal.aborted) {
      await show(call, replicas, true);
      await pause(everyMs, undefined, { signal }).catch(() => undefined);
    }
    return EXIT.ok;
  } finally {
    replicas.close();
  }
}

async function show(call: Invocation, replicas: Replicas, again: boolean): Promise<number> {
  const { output } = call;
  const view = instanceView(replicas.target, await replicas.status(), new Date());
  const problems = problemsOf(view);
  const { cluster, instance, time, ...rest } = view;
  const value = { cluster, instance, time, healthy: problems.length === 0, problems, ...rest };
  const text = (): string => (output.quiet ? problems.join('\n') : statusText(view, problems));
  if (!again) output.document(value, text);
  else {
    const clear = process.stdout.isTTY ? CLEAR : '';
    output.line(value, () => `${clear}${text()}`);
  }
  if (!view.replicas.some(({ answers }) => answers)) return EXIT.unavailable;
  return call.values.flag('check') && problems.length > 0 ? EXIT.no : EXIT.ok;
}
