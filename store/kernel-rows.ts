/** Sightings and gaps as Native blocks of `kernels` and `gaps`. */
import type { Gap } from '../model/gap.ts';
import type { KernelIdentity } from '../model/identity.ts';
import type { NativeWriter } from './native.ts';
import { writeKernel } from './resource-columns.ts';
import type { KernelSighting } from './store.ts';

export function writeSightings(writer: NativeWriter, sightings: readonly KernelSighting[]): void {
  if (sightings.length === 0) return;
  const identities = sightings.map((sighting) => sighting.identity);
  const seen = sightings.map((sighting) => sighting.seenUnixNs);
  writer.openBlock(sightings.length);
  const text = (name: string, of: (identity: KernelIdentity) => string): void => writer.strings(name, identities.map(of));
  text('MachineId', (identity) => identity.machineId);
  text('MachineName', (identity) => identity.machineName);
  writer.numbers(
    'KernelId',
    'Int32',
    Int32Array.from(identities, (identity) => identity.kernelId),
  );
  text('KernelName', (identity) => identity.kernelName);
  text('BootId', (identity) => identity.bootId);
  text('Release', (identity) => identity.release);
  text('Arch', (identity) => identity.arch);
  writer.strings(
    'Origin',
    sightings.map((sighting) => sighting.origin),
  );
  writer.bigints('FirstSeen', 'DateTime64(9)', seen);
  writer.bigints('LastSeen', 'DateTime64(9)', seen);
  writer.closeBlock();
}

export function writeGaps(writer: NativeWriter, identity: KernelIdentity, gaps: readonly Gap[]): void {
  if (gaps.length === 0) return;
  writer.openBlock(gaps.length);
  writer.bigints(
    'FromTime',
    'DateTime64(9)',
    gaps.map((gap) => gap.fromUnixNs),
  );
  writer.bigints(
    'ToTime',
    'DateTime64(9)',
    gaps.map((gap) => gap.toUnixNs),
  );
  writeKernel(writer, identity);
  writer.strings(
    'Stream',
    gaps.map((gap) => gap.stream),
  );
  writer.numbers(
    'Cpu',
    'Int32',
    Int32Array.from(gaps, (gap) => gap.cpu),
  );
  writer.integers(
    'Count',
    'Int64',
    gaps.map((gap) => gap.count ?? -1),
  );
  writer.strings(
    'Reason',
    gaps.map((gap) => gap.reason),
  );
  writer.closeBlock();
}
