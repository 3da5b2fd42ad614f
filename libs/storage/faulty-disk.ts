/**
 * A disk in memory that fails on request, for tests. It keeps apart what a process sees and what
 * would survive a power failure: writes, and names in directories, are pending until a sync covers
 * them; `crash` keeps of them as much as the test chooses, torn at any byte. A failed sync leaves
 * the pages visible and clean, as Linux does: they never reach the disk, later syncs succeed.
 *
 * Operations are numbered; a test can make each of them fail, be cut short, or be the last one
 * before the power goes. Completions of the commit path come later, never synchronously.
 */
import { dirname } from 'node:path';
import { assert } from '../values/assert.ts';
import { MeridianError } from '../errors/errors.ts';
import { fileError } from './files.ts';
import type { Files, OpenMode, SyncDone, WriteDone } from './files.ts';

export type Operation =
  | 'makeDirectory'
  | 'open'
  | 'read'
  | 'write'
  | 'truncate'
  | 'sync'
  | 'syncDirectory'
  | 'rename'
  | 'remove'
  | 'writeDurably'
  | 'readLater'
  | 'syncLater';

/** `keptBytes`: what of a failed or short write arrives in the file (and is lost at a crash). */
export type Fault =
  | { readonly code: 'EIO' | 'ENOSPC'; readonly keptBytes?: number }
  | { readonly shortBytes: number };

/** Thrown by every call after the power is gone. */
export class PowerFailure extends Error {}

/** Picks how much of `limit` pending units survives: 0..limit. */
export type Survival = (limit: number) => number;

interface Pending {
  readonly position: number;
  /** null: a truncation to `position`. */
  readonly data: Buffer | null;
}

class Content {
  visible: Buffer = Buffer.alloc(0);
  durable: Buffer = Buffer.alloc(0);
  pending: Pending[] = [];

  change(change: Pending): void {
    this.visible = apply(this.visible, change);
    this.pending.push(change);
  }

  sync(): void {
    this.durable = this.pending.reduce(apply, this.durable);
    this.pending = [];
  }

  /** What a crash leaves: the pending changes in order, up to `kept` bytes of them. */
  survivor(kept: number): Content {
    const content = new Content();
    let left = kept;
    content.durable = this.durable;
    for (const change of this.pending) {
      const cost = change.data?.length ?? 1;
      if (left <= 0) break;
      const part = change.data?.subarray(0, left) ?? null;
      content.durable = apply(content.durable, { position: change.position, data: part });
      left -= cost;
    }
    content.visible = Buffer.from(content.durable);
    return content;
  }

  get pendingUnits(): number {
    return this.pending.reduce((sum, { data }) => sum + (data?.length ?? 1), 0);
  }
}

type Node = Content | 'directory';
/** A name that appears, or (null) goes; a renaming is one change: no crash sees both or neither. */
interface NameChange {
  readonly path: string;
  readonly node: Node | null;
  readonly from: string | undefined;
}

export class FaultyDisk implements Files {
  /** Decides for the `call`-th call (from 1) of each kind of operation. */
  fault: (operation: Operation, call: number) => Fault | undefined = () => undefined;
  /** The power goes at this step; each operation is a step before and a step after its effect. */
  crashAtStep = Number.POSITIVE_INFINITY;
  steps = 0;
  readonly #calls = new Map<Operation, number>();
  readonly #names = new Map<string, Node>([['/', 'directory']]);
  readonly #durableNames = new Map<string, Node>([['/', 'directory']]);
  readonly #pendingNames = new Map<string, NameChange[]>();
  readonly #open = new Map<number, { path: string; node: Node }>();
  readonly #locks = new Map<string, number>();
  #nextFile = 3;
  #isOff = false;

  get isOff(): boolean {
    return this.#isOff;
  }

  callsOf(operation: Operation): number {
    return this.#calls.get(operation) ?? 0;
  }

  powerOff(): void {
    this.#isOff = true;
  }

  /** The process dies, the machine lives: everything visible stays, locks and open files go. */
  killProcess(): FaultyDisk {
    this.#isOff = true;
    const next = new FaultyDisk();
    for (const [path, node] of this.#names) next.#names.set(path, node);
    for (const [path, node] of this.#durableNames) next.#durableNames.set(path, node);
    for (const [path, changes] of this.#pendingNames) next.#pendingNames.set(path, [...changes]);
    return next;
  }

  /** The machine dies: what was pending survives as far as `survives` says. */
  crash(survives: Survival): FaultyDisk {
    this.#isOff = true;
    const next = new FaultyDisk();
    const names = new Map(this.#durableNames);
    for (const changes of this.#pendingNames.values()) {
      for (const change of changes.slice(0, survives(changes.length))) rename(names, change);
    }
    const survivors = new Map<Content, Content>();
    for (const [path, node] of names) {
      let survivor: Node = 'directory';
      if (node !== 'directory') {
        survivor = survivors.get(node) ?? node.survivor(survives(node.pendingUnits));
        survivors.set(node, survivor);
      }
      next.#names.set(path, survivor);
      next.#durableNames.set(path, survivor);
    }
    return next;
  }

  /** The bytes of a file, to be looked at or (with `change`) damaged behind the log's back. */
  bytes(path: string): Buffer {
    return Buffer.from(this.#content(path).visible);
  }

  change(path: string, bytes: Buffer): void {
    const content = this.#content(path);
    content.visible = Buffer.from(bytes);
    content.durable = Buffer.from(bytes);
    content.pending = [];
  }

  makeDirectory(path: string): void {
    this.#act('makeDirectory', path, () => {
      if (!this.#names.has(path)) this.#rename(path, 'directory');
    });
  }

  list(path: string): readonly string[] | null {
    this.#requirePower();
    if (!this.#names.has(path)) return null;
    const inside = [...this.#names.keys()].filter((name) => dirname(name) === path && name !== '/');
    return inside.map((name) => name.slice(path.length + 1)).sort();
  }

  open(path: string, mode: OpenMode): number {
    return this.#act('open', path, () => {
      let node = this.#names.get(path);
      if (mode === 'create' && node !== undefined) throw errno('EEXIST', path);
      if (node === undefined) {
        if (mode === 'read' || mode === 'write') throw errno('ENOENT', path);
        node = new Content();
        this.#rename(path, node);
      }
      const file = this.#nextFile++;
      this.#open.set(file, { path, node });
      return file;
    });
  }

  close(file: number): void {
    if (this.#isOff) return;
    assert(this.#open.delete(file), 'only an open file is closed');
    for (const [path, holder] of this.#locks) if (holder === file) this.#locks.delete(path);
  }

  size(file: number): number {
    this.#requirePower();
    return this.#file(file).visible.length;
  }

  read(file: number, target: Uint8Array, position: number): number {
    return this.#act('read', '', () => {
      const { visible } = this.#file(file);
      return visible.copy(target, 0, position, Math.min(visible.length, position + target.length));
    });
  }

  write(file: number, data: Uint8Array, position: number): number {
    const content = this.#file(file);
    let bytes = data.length;
    this.#act('write', '', (fault) => {
      if (fault !== undefined && 'shortBytes' in fault) bytes = Math.min(bytes, fault.shortBytes);
      content.change({ position, data: Buffer.from(data.subarray(0, bytes)) });
    });
    return bytes;
  }

  truncate(file: number, bytes: number): void {
    this.#act('truncate', '', () => {
      this.#file(file).change({ position: bytes, data: null });
    });
  }

  sync(file: number): void {
    const content = this.#file(file);
    try {
      this.#act('sync', '', () => {
        content.sync();
      });
    } catch (error) {
      if (error instanceof MeridianError) content.pending = [];
      throw error;
    }
  }

  syncDirectory(path: string): void {
    this.#act('syncDirectory', path, () => {
      this.#syncNames(path);
    });
  }

  rename(from: string, to: string): void {
    this.#act('rename', from, () => {
      const node = this.#names.get(from);
      if (node === undefined) throw errno('ENOENT', from);
      this.#rename(to, node, from);
    });
  }

  remove(path: string): void {
    this.#act('remove', path, () => {
      this.#rename(path, null);
    });
  }

  lock(path: string): number {
    this.#requirePower();
    if (this.#locks.has(path)) throw new MeridianError('REFUSED', `${path} is locked`);
    const file = this.open(path, 'durable');
    this.#locks.set(path, file);
    return file;
  }

  writeDurably(
    file: number,
    parts: readonly Uint8Array[],
    position: number,
    done: WriteDone,
  ): void {
    const content = this.#file(file);
    const data = Buffer.concat(parts);
    const fault = this.#beginLater('writeDurably');
    if (fault === 'off') return;
    let bytes = data.length;
    if (fault !== undefined && 'code' in fault) bytes = fault.keptBytes ?? 0;
    if (fault !== undefined && 'shortBytes' in fault) bytes = Math.min(bytes, fault.shortBytes);
    content.change({ position, data: data.subarray(0, bytes) });
    this.#later(
      () => {
        if (fault !== undefined && 'code' in fault) content.pending = [];
        else content.sync();
      },
      () => {
        if (fault !== undefined && 'code' in fault) done(errno(fault.code, ''), 0);
        else done(null, bytes);
      },
    );
  }

  readLater(file: number, target: Uint8Array, position: number, done: WriteDone): void {
    const fault = this.#beginLater('readLater');
    if (fault === 'off') return;
    const code = fault !== undefined && 'code' in fault ? fault.code : undefined;
    this.#later(
      () => undefined,
      () => {
        if (code !== undefined) done(errno(code, ''), 0);
        else {
          const { visible } = this.#file(file);
          const end = Math.min(visible.length, position + target.length);
          done(null, visible.copy(target, 0, Math.min(position, visible.length), end));
        }
      },
    );
  }

  syncLater(file: number, done: SyncDone): void {
    const opened = this.#open.get(file);
    assert(opened !== undefined, 'only an open file is synced');
    const { node, path } = opened;
    const fault = this.#beginLater('syncLater');
    if (fault === 'off') return;
    const code = fault !== undefined && 'code' in fault ? fault.code : undefined;
    this.#later(
      () => {
        if (code !== undefined) return;
        if (node === 'directory') this.#syncNames(path);
        else node.sync();
      },
      () => {
        done(code === undefined ? null : errno(code, path));
      },
    );
  }

  /** Counts the call and says whether it fails; the power may go before its effect. */
  #begin(operation: Operation): Fault | undefined {
    this.#step();
    const call = this.callsOf(operation) + 1;
    this.#calls.set(operation, call);
    return this.fault(operation, call);
  }

  /** On the commit path nobody is there to catch: without power the completion never comes. */
  #beginLater(operation: Operation): Fault | 'off' | undefined {
    try {
      return this.#begin(operation);
    } catch (error) {
      if (error instanceof PowerFailure) return 'off';
      throw error;
    }
  }

  #act<T>(operation: Operation, path: string, action: (fault: Fault | undefined) => T): T {
    const fault = this.#begin(operation);
    try {
      if (fault !== undefined && 'code' in fault) throw errno(fault.code, path);
      const result = action(fault);
      this.#step();
      return result;
    } catch (error) {
      if (error instanceof PowerFailure) throw error;
      throw fileError(operation, path, error);
    }
  }

  #later(effect: () => void, done: () => void): void {
    setImmediate(() => {
      if (this.#isOff) return;
      effect();
      this.steps++;
      if (this.steps >= this.crashAtStep) this.#isOff = true;
      else done();
    });
  }

  #step(): void {
    this.#requirePower();
    this.steps++;
    if (this.steps >= this.crashAtStep) this.#isOff = true;
    this.#requirePower();
  }

  #requirePower(): void {
    if (this.#isOff) throw new PowerFailure('the power is gone');
  }

  #rename(path: string, node: Node | null, from?: string): void {
    const changes = this.#pendingNames.get(dirname(path)) ?? [];
    this.#pendingNames.set(dirname(path), changes);
    const change = { path, node, from };
    rename(this.#names, change);
    changes.push(change);
  }

  #syncNames(directory: string): void {
    for (const change of this.#pendingNames.get(directory) ?? []) {
      rename(this.#durableNames, change);
    }
    this.#pendingNames.delete(directory);
  }

  #file(file: number): Content {
    const opened = this.#open.get(file);
    assert(opened !== undefined && opened.node !== 'directory', `${file} is not an open file`);
    return opened.node;
  }

  #content(path: string): Content {
    const node = this.#names.get(path);
    assert(node !== undefined && node !== 'directory', `${path} is not a file`);
    return node;
  }
}

function rename(names: Map<string, Node>, { path, node, from }: NameChange): void {
  if (from !== undefined) names.delete(from);
  if (node === null) names.delete(path);
  else names.set(path, node);
}

function apply(bytes: Buffer, { position, data }: Pending): Buffer {
  if (data === null) return Buffer.from(bytes.subarray(0, position));
  const target = Buffer.alloc(Math.max(bytes.length, position + data.length));
  target.set(bytes);
  target.set(data, position);
  return target;
}

function errno(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}
