/**
 * Everything a command prints. Results go to standard output, as text for people or as JSON for
 * programs; notes, warnings and errors go to standard error, so that a pipe carries results only. When
 * the reader of the pipe goes away (`head`), that is no error: what comes later is dropped.
 */
import { once } from 'node:events';
import { writeSync } from 'node:fs';

export interface OutputOptions {
  readonly json: boolean;
  /** No notes. */
  readonly quiet: boolean;
}

export class Output {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly #out = process.stdout;
  #closed = false;
  #onClosed: () => void = () => undefined;

  constructor({ json, quiet }: OutputOptions) {
    this.json = json;
    this.quiet = quiet;
    this.#out.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') this.warn(`cannot write the output: ${error.message}`);
      this.#closed = true;
      this.#onClosed();
    });
    process.stderr.on('error', () => undefined);
  }

  /** Nobody reads any more. */
  get closed(): boolean {
    return this.#closed;
  }

  onClosed(listener: () => void): void {
    this.#onClosed = listener;
  }

  /** The one result of a command. */
  document(value: object, text: () => string): void {
    this.#write(this.json ? `${JSON.stringify(value, null, 2)}\n` : ended(text()));
  }

  /** One of many results; null: nothing for people. */
  line(value: object, text: () => string | null): void {
    if (this.json) this.#write(`${JSON.stringify(value)}\n`);
    else {
      const line = text();
      if (line !== null) this.#write(`${line}\n`);
    }
  }

  /** Text or bytes exactly as they are. */
  raw(data: string | Uint8Array): void {
    this.#write(data);
  }

  /** For people: what happens; not with --quiet and not with JSON. */
  note(text: string): void {
    if (!this.json && !this.quiet) complain(ended(text));
  }

  /** Something the user should know although the command goes on. */
  warn(text: string): void {
    complain(ended(`meridian: ${text}`));
  }

  /** A pipe that is full holds a stream of results up here. */
  async ready(): Promise<void> {
    if (this.#out.writableNeedDrain && !this.#closed) {
      await Promise.race([once(this.#out, 'drain'), once(this.#out, 'close')]).catch(
        () => undefined,
      );
    }
  }

  #write(data: string | Uint8Array): void {
    if (!this.#closed) this.#out.write(data);
  }
}

/** Synchronously, so that it is out whatever comes next. */
export function complain(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // Nobody listens.
  }
}

function ended(text: string): string {
  return text.endsWith('\n') || text === '' ? text : `${text}\n`;
}
