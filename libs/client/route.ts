/**
 * Where an append pipeline or a read goes next: nearest first, each region once in a round, a growing
 * pause between rounds, growing patience with silence that is everywhere, and the way back to the
 * nearest region once it works again.
 */
import { Rounds } from '../rpc/rpc.ts';
import { probeRegion } from './calls.ts';
import type { Region, Regions } from './regions.ts';

export interface RouteSettings {
  readonly cluster: string;
  readonly instance: string;
  readonly regions: Regions;
  /** Silence after which something unanswered is tried elsewhere, ms. Default 2,000. */
  readonly silenceMs?: number | undefined;
  /** How often one that had to move looks whether its nearest region works again, ms. Default 5,000. */
  readonly returnMs?: number | undefined;
}

/** Silence that finds no better region is waited for longer each time, up to this factor. */
const PATIENCE_FACTOR_MAX = 8;

export class Route {
  readonly #settings: RouteSettings;
  readonly #rounds: Rounds<Region>;
  #patienceFactor = 1;
  #probedAt = performance.now();

  constructor(settings: RouteSettings) {
    this.#settings = settings;
    this.#rounds = new Rounds(settings.regions.list);
  }

  /** How long to wait for an answer, ms. */
  get patienceMs(): number {
    return (this.#settings.silenceMs ?? 2_000) * this.#patienceFactor;
  }

  get triedAll(): boolean {
    return this.#rounds.triedAll;
  }

  /** null: all were tried; the next round begins after `pauseMs`. */
  next(): Region | null {
    return this.#rounds.next();
  }

  pauseMs(): number {
    return this.#rounds.pauseMs();
  }

  worked(region: Region): void {
    this.#rounds.worked(region);
    this.#patienceFactor = 1;
  }

  /** Not the region's fault: it may be tried again at once. */
  excuse(region: Region): void {
    this.#rounds.excuse(region);
  }

  /** So that a slow cluster is not stormed. */
  growPatience(): void {
    this.#patienceFactor = Math.min(this.#patienceFactor * 2, PATIENCE_FACTOR_MAX);
  }

  /** Away from the nearest region: asks it now and then, and calls when it works. */
  maybeReturn(current: Region, back: (nearest: Region) => void): void {
    const { regions, returnMs = 5_000, cluster, instance } = this.#settings;
    const [nearest] = regions.list;
    const now = performance.now();
    if (nearest === undefined || nearest === current || now - this.#probedAt < returnMs) return;
    this.#probedAt = now;
    void probeRegion(nearest, { cluster, instance }).then((works) => {
      if (!works) return;
      nearest.worked();
      this.#rounds.restart();
      back(nearest);
    });
  }
}
