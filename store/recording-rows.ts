/** Recordings that others lean on, as Native blocks of `recordings` and `vcpu_threads`. */
import type { TracedGuest, TscToNs } from '../model/event-file.ts';
import type { KernelIdentity } from '../model/identity.ts';
import type { ClockFitFields } from '../model/segment.ts';
import type { NativeWriter } from './native.ts';
import { writeKernel } from './resource-columns.ts';
import type { Store } from './store.ts';

/** The clock of a recording that has a trace id, and the guests it knows. */
export interface Recording {
  readonly identity: KernelIdentity;
  readonly traceId: bigint;
  /** From ns where there is a conversion, else from raw times. */
  readonly fit: ClockFitFields;
  readonly tscToNs: TscToNs | undefined;
  readonly guests: readonly TracedGuest[];
}

export function writeRecording(writer: NativeWriter, { identity, traceId, fit, tscToNs }: Recording): void {
  writer.openBlock(1);
  writeKernel(writer, identity);
  writer.bigints('TraceId', 'UInt64', [traceId]);
  writer.bigints('BaseRaw', 'Int64', [BigInt(fit.baseRaw)]);
  writer.bigints('BaseUnixNs', 'Int64', [BigInt(fit.baseUnixNs)]);
  writer.numbers('NsPerTick', 'Float64', Float64Array.of(fit.nsPerTick));
  writer.bigints('ErrorNs', 'Int64', [BigInt(Math.round(fit.errorNs))]);
  writer.numbers('TscMult', 'UInt32', Uint32Array.of(tscToNs?.mult ?? 0));
  writer.numbers('TscShift', 'UInt8', Uint8Array.of(tscToNs?.shift ?? 0));
  writer.bigints('TscOffsetNs', 'Int64', [tscToNs?.offsetNs ?? 0n]);
  writer.closeBlock();
}

export function writeVcpuThreads(writer: NativeWriter, { identity, traceId, guests }: Recording): void {
  const threads = guests.flatMap(({ name, traceId: guestTraceId, cpus }) => cpus.map((cpu) => ({ name, guestTraceId, ...cpu })));
  if (threads.length === 0) return;
  writer.openBlock(threads.length);
  writeKernel(writer, identity);
  writer.constantBigint('TraceId', 'UInt64', traceId);
  writer.bigints(
    'GuestTraceId',
    'UInt64',
    threads.map(({ guestTraceId }) => guestTraceId),
  );
  writer.strings(
    'GuestName',
    threads.map(({ name }) => name),
  );
  writer.numbers(
    'Cpu',
    'UInt16',
    Uint16Array.from(threads, ({ cpu }) => cpu),
  );
  writer.numbers(
    'HostPid',
    'Int32',
    Int32Array.from(threads, ({ hostPid }) => hostPid),
  );
  writer.closeBlock();
}

/** What a recording holds beside its events, as it holds it. */
export interface RecordingTexts {
  readonly bootId: string;
  /** Empty for what a kernel's own collector sends. */
  readonly stream: string;
  readonly texts: Readonly<Partial<Record<RecordingTextKind, string>>>;
}

export type RecordingTextKind = 'kallsyms' | 'saved_cmdlines' | 'options';

export function writeRecordingTexts(writer: NativeWriter, { bootId, stream, texts }: RecordingTexts): void {
  const kinds = Object.entries(texts).filter(([, content]) => content !== '');
  if (kinds.length === 0) return;
  writer.openBlock(kinds.length);
  writer.constantString('BootId', bootId);
  writer.constantString('Stream', stream);
  writer.strings(
    'Kind',
    kinds.map(([kind]) => kind),
  );
  writer.strings(
    'Content',
    kinds.map(([, content]) => content),
  );
  writer.closeBlock();
}

interface RecordingRow {
  readonly BaseRaw: string;
  readonly BaseUnixNs: string;
  readonly NsPerTick: number;
  readonly ErrorNs: string;
  readonly TscMult: number;
  readonly TscShift: number;
  readonly TscOffsetNs: string;
}

/** The clock of the recording of that id which was stored last; undefined where none was. */
export async function findRecordingClock(store: Store, traceId: bigint): Promise<Pick<Recording, 'fit' | 'tscToNs'> | undefined> {
  const [row] = await store.query<RecordingRow>(
    `SELECT BaseRaw, BaseUnixNs, NsPerTick, ErrorNs, TscMult, TscShift, TscOffsetNs FROM recordings
     WHERE TraceId = {traceId:UInt64} ORDER BY StoredAt DESC LIMIT 1`,
    { params: { traceId: String(BigInt.asUintN(64, traceId)) } },
  );
  if (row === undefined) return undefined;
  const { BaseRaw: baseRaw, BaseUnixNs: baseUnixNs, NsPerTick: nsPerTick } = row;
  const tscToNs = row.TscMult === 0 ? undefined : { mult: row.TscMult, shift: row.TscShift, offsetNs: BigInt(row.TscOffsetNs) };
  return { fit: { baseRaw, baseUnixNs, nsPerTick, errorNs: Number(row.ErrorNs) }, tscToNs };
}
