/** `meridian help`. */
import { UsageError } from '../arguments.ts';
import { commandHelp, groupHelp, overview, topicHelp } from '../help.ts';
import type { Invocation } from '../invocation.ts';
import { didYouMean } from '../suggest.ts';
import { TABLE, TOPICS } from '../table/table.ts';

export function run({ values, output }: Invocation): Promise<number> {
  output.raw(textFor(values.texts('word')));
  return Promise.resolve(0);
}

function textFor(words: readonly string[]): string {
  const [first] = words;
  if (first === undefined) return overview();
  const wanted = words.join(' ');
  const command = TABLE.commands.find(({ path }) => path.join(' ') === wanted);
  if (command !== undefined) return commandHelp(command);
  if (words.length === 1 && TABLE.groups.some(({ name }) => name === first))
    return groupHelp(first);
  const topic = words.length === 1 ? topicHelp(first) : null;
  if (topic !== null) return topic;
  const known = [
    ...TABLE.commands.map(({ path }) => path.join(' ')),
    ...TABLE.groups.map(({ name }) => name),
    ...TOPICS.map(({ name }) => name),
  ];
  throw new UsageError(`there is no command or topic ${wanted}${didYouMean(wanted, known)}`);
}
