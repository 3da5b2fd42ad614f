/**
 * Where output goes: on a terminal, a view that is drawn over itself with events scrolling by above
 * it; elsewhere, plain lines. Nothing else writes to standard output while a screen is open.
 */

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

export interface Screen {
  /** A line that stays. */
  print(line: string): void;
  /** Shows this instead of what was shown before. */
  show(view: { readonly lines: readonly string[]; readonly summary: string }): void;
  /** Leaves the last view standing and gives the terminal back. */
  close(): void;
}

const COLUMNS_DEFAULT = 80;
const ROWS_DEFAULT = 24;
const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const CLEAR_BELOW = '\u001b[J';

/** `plainEveryMs`: without a terminal, how often a view becomes a line. */
export function openScreen(output: Output, plain: boolean, plainEveryMs = 5_000): Screen {
  return plain || output.isTTY !== true ? lineScreen(output, plainEveryMs) : terminalScreen(output);
}

function lineScreen(output: Output, everyMs: number): Screen {
  let last = -Infinity;
  return {
    print: (line) => {
      output.write(`${line}\n`);
    },
    show: ({ summary }) => {
      const now = performance.now();
      if (now - last < everyMs) return;
      last = now;
      output.write(`${summary}\n`);
    },
    close: () => undefined,
  };
}

function terminalScreen(output: Output): Screen {
  let drawn: readonly string[] = [];
  const erase = (): string =>
    (drawn.length === 0 ? '' : `\u001b[${String(drawn.length)}F`) + CLEAR_BELOW;
  const draw = (lines: readonly string[]): string => {
    // What wraps or scrolls could not be drawn over: it would count as more lines than it is.
    const width = (output.columns ?? COLUMNS_DEFAULT) - 1;
    drawn = lines.slice(0, (output.rows ?? ROWS_DEFAULT) - 1).map((line) => line.slice(0, width));
    return drawn.map((line) => `${line}\n`).join('');
  };
  output.write(HIDE_CURSOR);
  return {
    print: (line) => {
      const lines = drawn;
      output.write(`${erase()}${line}\n${draw(lines)}`);
    },
    show: ({ lines }) => {
      output.write(erase() + draw(['', ...lines]));
    },
    close: () => {
      output.write(SHOW_CURSOR);
    },
  };
}
