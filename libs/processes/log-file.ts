/**
 * A child's output: to a bounded file, to whoever listens by line, and the last lines in memory for
 * error messages. At the bound the file becomes `<file>.1`, replacing the one before, so at most
 * twice the bound stays on disk. Without a file only the last lines are kept.
 */
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

const LAST_LINES = 40;
const LINE_CHARS_MAX = 4_096;

export class LogFile {
  readonly #file: string | null;
  readonly #bytesMax: number;
  readonly #last: string[] = [];
  readonly #listeners = new Set<(line: string) => void>();
  #fd: number | null = null;
  #size = 0;

  constructor(file: string | null, bytesMax: number) {
    this.#file = file;
    this.#bytesMax = bytesMax;
  }

  /** Takes one of the child's output streams; lines of two streams interleave whole. */
  attach(stream: NodeJS.ReadableStream): void {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      this.#write(text);
      const lines = (rest + text).split('\n');
      rest = (lines.pop() ?? '').slice(0, LINE_CHARS_MAX);
      for (const line of lines) this.#line(line);
    });
    stream.on('end', () => {
      if (rest !== '') this.#line(rest);
      rest = '';
    });
    stream.on('error', () => undefined); // the child is gone; its exit is reported elsewhere
  }

  /** Returns what ends the subscription. */
  onLine(listener: (line: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  lastLines(count: number): string[] {
    return this.#last.slice(-count);
  }

  /** A new run of the child: its readiness and its errors must not be told by the old lines. */
  forget(): void {
    this.#last.length = 0;
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }

  #line(text: string): void {
    const line = text.slice(0, LINE_CHARS_MAX);
    this.#last.push(line);
    if (this.#last.length > LAST_LINES) this.#last.shift();
    for (const listener of this.#listeners) listener(line);
  }

  #write(text: string): void {
    if (this.#file === null) return;
    this.#fd ??= this.#open(this.#file);
    if (this.#size >= this.#bytesMax) {
      this.close();
      renameSync(this.#file, `${this.#file}.1`);
      this.#fd = this.#open(this.#file);
    }
    this.#size += writeSync(this.#fd, text);
  }

  #open(file: string): number {
    mkdirSync(dirname(file), { recursive: true });
    const fd = openSync(file, 'a');
    this.#size = fstatSync(fd).size;
    return fd;
  }
}
