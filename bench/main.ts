/** `npm run bench [-- filter]`: runs every bench of this folder and prints one line each. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Bench } from './bench.ts';

const filter = process.argv[2] ?? '';
const files = readdirSync(import.meta.dirname)
  .filter((name) => name.endsWith('.bench.ts'))
  .sort();
console.log(`node ${process.version}, ${new Date().toISOString()}`);
for (const file of files) {
  const { benches } = (await import(pathToFileURL(join(import.meta.dirname, file)).href)) as { benches: readonly Bench[] };
  for (const bench of benches) {
    if (!`${file} ${bench.name}`.includes(filter)) continue;
    const { value, unit, detail } = await bench.run();
    const figure = value >= 1e6 ? `${(value / 1e6).toFixed(2)} M` : value >= 1e3 ? `${(value / 1e3).toFixed(1)} k` : value.toFixed(2);
    console.log(
      `${bench.name.padEnd(58)} ${`${figure} ${unit}`.padStart(24)}  ${bench.target ? `target ${bench.target}  ` : ''}${detail ?? ''}`,
    );
  }
}
