/** Which archive a command means: a directory, or a bucket, with what it takes to get there. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Catalog } from '../../libs/archive/catalog.ts';
import { openStore } from '../../libs/archive/open-store.ts';
import type { StoreSettings } from '../../libs/archive/open-store.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Values } from './arguments.ts';

export type Place = Omit<StoreSettings, 'timeoutMs'>;

const TIMEOUT_MS = 60_000;

/** What the SDK of AWS thinks of this Node is nothing for whoever asks for an archive. */
const NO_SUPPORT_WARNING = 'AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED';

export function placeOf(values: Values): Place {
  process.env[NO_SUPPORT_WARNING] ??= 'true';
  const place = values.text('archive') ?? '';
  return {
    url: place.includes('://') ? place : pathToFileURL(resolve(place)).href,
    region: values.text('region'),
    endpoint: values.text('endpoint'),
    pathStyle: values.flag('path-style'),
    keysFile: values.text('keys'),
  };
}

/** Throws REFUSED when there is none. */
export async function openCatalog(place: Place): Promise<Catalog> {
  const store = await openStore({ ...place, timeoutMs: TIMEOUT_MS });
  const root = await Catalog.rootOf(store);
  if (root === null) throw new MeridianError('REFUSED', `there is no archive at ${store.url}`);
  const { cluster, instance } = root;
  const options = { store, cluster, instance, by: 'meridian archive', now: () => Date.now() };
  const catalog = await Catalog.open(options);
  if (catalog === null) throw new MeridianError('UNAVAILABLE', `${store.url} lost its root`);
  return catalog;
}
