/** Tables for people: columns as wide as their widest cell, numbers to the right. */

export interface ColumnsOptions {
  /** Columns whose cells stand at the right, by number. */
  readonly right?: readonly number[];
  readonly indent?: string;
}

/** The first row is the heading. */
export function columns(
  rows: readonly (readonly string[])[],
  { right = [], indent = '' }: ColumnsOptions = {},
): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, widthOf(cell));
  }
  return rows
    .map((row) => {
      const cells = row.map((cell, at) => {
        const room = ' '.repeat((widths[at] ?? 0) - widthOf(cell));
        return right.includes(at) ? room + cell : cell + room;
      });
      return `${indent}${cells.join('  ')}`.trimEnd();
    })
    .map((line) => `${line}\n`)
    .join('');
}

/** Text broken into lines of at most `width`, each after `indent`. */
export function wrapped(text: string, width: number, indent = ''): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && indent.length + widthOf(line) + 1 + widthOf(word) > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines.map((each) => `${indent}${each}\n`).join('');
}

/** Code points: good enough for what is printed here. */
function widthOf(text: string): number {
  return Array.from(text).length;
}
