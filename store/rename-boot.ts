/**
 * Gives the rows of a boot, whose id was made up before anybody knew, the id that the kernel itself has. Such a boot is known by its log
 * and its books only: it has no trace events and no clocks. Doing it again changes nothing.
 */
import type { KernelIdentity } from '../model/identity.ts';
import { toResource } from '../model/identity.ts';
import type { Engine } from './engine.ts';
import { quoteText } from './sql-text.ts';

/** The boot is in no sort key: rows are updated where they lie. */
const OTLP_TABLES = [
  'otel_logs',
  'otel_traces',
  'otel_metrics_gauge',
  'otel_metrics_sum',
  'otel_metrics_histogram',
  'otel_metrics_exp_histogram',
  'otel_metrics_summary',
];
const BOOT_COLUMNS = [
  ['ikc_messages', 'SenderBootId'],
  ['ikc_messages', 'ReceiverBootId'],
  ['ikc_exchanges', 'RequesterBootId'],
  ['incidents', 'BootId'],
] as const;

export async function renameBoot(engine: Engine, from: string, to: KernelIdentity): Promise<void> {
  const old = quoteText(from);
  const boot = quoteText(to.bootId);
  const wait = 'SETTINGS mutations_sync = 1';
  const named = Object.entries(toResource(to).attributes).flat().map(quoteText).join(', ');
  for (const table of OTLP_TABLES) {
    const resource = `mapUpdate(ResourceAttributes, map(${named}))`;
    await engine.command(`ALTER TABLE ${table} UPDATE BootId = ${boot}, ResourceAttributes = ${resource} WHERE BootId = ${old} ${wait}`);
  }
  for (const [table, column] of BOOT_COLUMNS) {
    await engine.command(`ALTER TABLE ${table} UPDATE ${column} = ${boot} WHERE ${column} = ${old} ${wait}`);
  }
  await engine.command(
    `ALTER TABLE incidents UPDATE OtherBoots = arrayMap(boot -> if(boot = ${old}, ${boot}, boot), OtherBoots) WHERE has(OtherBoots, ${old}) ${wait}`,
  );
  // Here it is in the key. What a try that was interrupted has copied goes first. A bare BootId in the SELECT would be the new one.
  const copies = `(Stream, StoredAt) IN (SELECT Stream, StoredAt FROM gaps WHERE BootId = ${old})`;
  await engine.command(`ALTER TABLE gaps DELETE WHERE BootId = ${boot} AND ${copies} ${wait}`);
  await engine.command(`INSERT INTO gaps SELECT * REPLACE (${boot} AS BootId) FROM gaps AS row WHERE row.BootId = ${old}`);
  await engine.command(`ALTER TABLE gaps DELETE WHERE BootId = ${old} ${wait}`);
  // Sightings are merged to one per boot: the first and the last time of both.
  const known = `${quoteText(to.release)} AS Release, ${quoteText(to.arch)} AS Arch, ${quoteText(to.kernelName)} AS KernelName`;
  await engine.command(`INSERT INTO kernels SELECT * REPLACE (${boot} AS BootId, ${known}) FROM kernels AS row WHERE row.BootId = ${old}`);
  await engine.command(`ALTER TABLE kernels DELETE WHERE BootId = ${old} ${wait}`);
}
