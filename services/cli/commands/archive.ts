/** `meridian archive status`: what an archive holds, from its newest manifest. */
import { archivedBytes } from '../../../libs/archive/manifest.ts';
import { openCatalog, placeOf } from '../archive-place.ts';
import { columns } from '../columns.ts';
import { EXIT } from '../exit-codes.ts';
import type { Invocation } from '../invocation.ts';
import { bytesText, timeText } from '../units.ts';

export async function run({ values, output }: Invocation): Promise<number> {
  const catalog = await openCatalog(placeOf(values));
  const { root, manifest, store } = catalog;
  const now = Date.now();
  const holds = manifest.holds.filter(({ expiresAt }) => expiresAt > now);
  const { first, end, goneTo, lastTimestamp, number } = manifest;
  const { cluster, instance } = root;
  const document = {
    archive: store.url,
    cluster,
    instance,
    manifest: number,
    first,
    end,
    goneTo,
    timestamp: lastTimestamp,
    bytes: archivedBytes(manifest),
    waiting: manifest.garbage.length,
    holds: holds.map((hold) => ({ ...hold, expiresAt: new Date(hold.expiresAt).toISOString() })),
  };
  store.close();
  output.document(document, () => {
    const rows = document.holds.map((hold) => [
      hold.name,
      timeText(hold.timestamp),
      hold.expiresAt,
    ]);
    const lines = [
      `archive   ${document.archive}`,
      `journal   cluster ${cluster}, instance ${instance}`,
      `content   ${end - first} entries, about ${bytesText(document.bytes)}; manifest ${number}`,
      `from      ${goneTo === 0 ? 'the beginning' : `behind ${timeText(goneTo)}: what was before is deleted`}`,
      `up to     ${lastTimestamp === 0 ? 'nothing yet' : timeText(lastTimestamp)}`,
      `deleting  ${document.waiting} objects wait for readers of older manifests`,
    ];
    const table = columns([['hold', 'has had', 'until'], ...rows], { indent: '  ' });
    return `${lines.join('\n')}\n${rows.length === 0 ? '' : `\n${table}`}`;
  });
  return EXIT.ok;
}
