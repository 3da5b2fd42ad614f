/**
 * Round-trip times between three real regions, for the links of a cluster on one machine. Figures are
 * typical medians of public clouds, rounded; what matters is their shape: two near and one far, or all
 * far. Jitter is a tenth of the delay.
 */
export const REGIONS = ['a', 'b', 'c'] as const;
export type Region = (typeof REGIONS)[number];

export interface WideArea {
  readonly name: string;
  /** What a, b and c stand for. */
  readonly regions: Readonly<Record<Region, string>>;
  /** Milliseconds. */
  readonly roundTripMs: { readonly ab: number; readonly bc: number; readonly ac: number };
}

export const WIDE_AREAS = {
  europe: {
    name: 'europe',
    regions: { a: 'eu-west-2', b: 'eu-west-3', c: 'eu-central-1' },
    roundTripMs: { ab: 9, bc: 10, ac: 16 },
  },
  america: {
    name: 'america',
    regions: { a: 'us-east-1', b: 'us-east-2', c: 'us-west-2' },
    roundTripMs: { ab: 13, bc: 50, ac: 66 },
  },
  atlantic: {
    name: 'atlantic',
    regions: { a: 'us-east-1', b: 'us-west-2', c: 'eu-west-1' },
    roundTripMs: { ab: 66, bc: 128, ac: 68 },
  },
} as const satisfies Record<string, WideArea>;

export function roundTripMs(
  { roundTripMs: { ab, bc, ac } }: WideArea,
  x: Region,
  y: Region,
): number {
  if (x === y) return 0;
  const pair = [x, y].sort().join('');
  return pair === 'ab' ? ab : pair === 'bc' ? bc : ac;
}

export function othersOf(region: Region): [Region, Region] {
  if (region === 'a') return ['b', 'c'];
  return region === 'b' ? ['a', 'c'] : ['a', 'b'];
}

/** The region itself, then the other two by distance. */
export function nearestFirst(area: WideArea, region: Region): Region[] {
  return [...REGIONS].sort((x, y) => roundTripMs(area, region, x) - roundTripMs(area, region, y));
}
