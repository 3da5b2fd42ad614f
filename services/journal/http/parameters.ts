/** Parameters of a request's query: known by name, each of one kind; what is wrong is said by name. */
import { MeridianError } from '../../../libs/errors/errors.ts';
import { encodingNamed } from '../../../libs/frames/text-encoding.ts';
import type { Encoding } from '../../../libs/frames/text-encoding.ts';

export class Parameters {
  readonly #query: URLSearchParams;

  /** Throws INVALID for one that is not in `known`: over curl it is a typing error. */
  constructor(query: URLSearchParams, known: readonly string[]) {
    this.#query = query;
    for (const name of query.keys()) {
      if (known.includes(name)) continue;
      throw invalid(`there is no parameter ${JSON.stringify(name)}; there are ${known.join(', ')}`);
    }
  }

  text(name: string): string | undefined {
    return this.#query.get(name) ?? undefined;
  }

  /** A whole number from 0. */
  number(name: string, most = Number.MAX_SAFE_INTEGER): number | undefined {
    const text = this.#query.get(name);
    if (text === null) return undefined;
    const value = Number(text);
    if (/^\d{1,16}$/.test(text) && value <= most) return value;
    throw invalid(`${name}=${text}: expected a whole number from 0 to ${most}`);
  }

  flag(name: string, otherwise = false): boolean {
    const text = this.oneOf(name, ['true', 'false', '']);
    return text === undefined ? otherwise : text !== 'false';
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T | undefined {
    const text = this.#query.get(name);
    if (text === null) return undefined;
    const value = values.find((each) => each === text);
    if (value !== undefined) return value;
    throw invalid(`${name}=${text}: expected ${values.join(', ')}`);
  }

  get encoding(): Encoding {
    return encodingNamed(this.oneOf('encoding', ['utf8', 'base64', 'hex']));
  }

  /** `timestamp/offset`. */
  position(name: string): Place | undefined {
    const text = this.#query.get(name);
    return text === null ? undefined : placeFrom(name, text);
  }
}

export interface Place {
  readonly timestamp: number;
  readonly recordOffset: number;
}

export function placeFrom(name: string, text: string): Place {
  const match = /^(\d{1,16})\/(\d{1,10})$/.exec(text);
  const place = { timestamp: Number(match?.[1]), recordOffset: Number(match?.[2]) };
  if (Number.isSafeInteger(place.timestamp) && place.recordOffset <= 0xffff_ffff) return place;
  throw invalid(`${name}=${text}: expected timestamp/offset`);
}

export function invalid(message: string): MeridianError {
  return new MeridianError('INVALID', message);
}

/** `2026-11-21T15:12:09.123456Z`, as in all output for people; null for 0. */
export function timeOrNull(micros: number): string | null {
  if (micros === 0) return null;
  const date = new Date(Math.floor(micros / 1000));
  if (Number.isNaN(date.getTime())) return String(micros);
  return date.toISOString().replace('Z', `${String(micros % 1000).padStart(3, '0')}Z`);
}
