/**
 * A folder that holds a copy of tracefs, or of the parts of it that say what a stopped buffer holds:
 *
 *   events/header_page, events/<system>/<event>/format     how pages and records are laid out: needed
 *   per_cpu/cpuN/trace_pipe_raw                            the pages, as read one by one: needed
 *   per_cpu/cpuN/stats  saved_cmdlines  saved_tgids  printk_formats  trace_clock  trace_options  current_tracer
 *   buffer_subbuf_size_kb                                  bytes of a page, where it is not that of header_page
 *   kallsyms  uname  cpu_online  preempt  time_start       of /proc and /sys (docs/formats/tracefs_copy.md)
 *
 * Not handled: `snapshot` and other instances within the folder (a copy of an instance is a folder of its own).
 */
import type { PageSequence } from '../model/event-file.ts';
import type { FormatSet } from '../model/segment.ts';
import { parseHeaderPage, type PageLayout } from './page-header.ts';
import { COMMIT_BYTES_MASK } from './page-records.ts';
import { MAX_EVENTS, MAX_FORMATS_BYTES } from './trace-dat-parts.ts';
import { readTraceSettings, type ReadText, type TraceSettings } from './tracefs-settings.ts';

/** Files of a folder by their path in it, with `/` between names. */
export interface FolderSource {
  /** Names in a folder; none where there is no such. */
  list(path: string): readonly string[];
  /** Bytes of a file; 0 where there is no such. */
  sizeOf(path: string): number;
  /** Bytes at `offset`; fewer than `length` only at the end. */
  read(path: string, offset: number, length: number): Uint8Array;
}

export interface CopiedCpu {
  readonly cpu: number;
  readonly path: string;
  readonly sizeBytes: number;
}

export interface TracefsCopy {
  readonly formats: FormatSet;
  readonly settings: TraceSettings;
  readonly pageSizeBytes: number;
  readonly cpus: readonly CopiedCpu[];
  readonly readText: ReadText;
  openPages(): PageSequence[];
}

/** kallsyms of a kernel with all its modules is 20 MB. */
const MAX_TEXT_BYTES = 64 << 20;
const MAX_PAGE_BYTES = 4 << 20;

export function isTracefsCopy(folder: FolderSource): boolean {
  return folder.sizeOf('events/header_page') > 0 && folder.list('per_cpu').some((name) => /^cpu\d+$/.test(name));
}

/** Opens a copy; a string says what is wrong with it. */
export function openTracefsCopy(folder: FolderSource): TracefsCopy | string {
  const readText: ReadText = (path, mostBytes = MAX_TEXT_BYTES) => {
    const size = folder.sizeOf(path);
    if (size === 0) return undefined;
    // A TextDecoder's latin1 is windows-1252, which has other characters for 80 to 9f.
    const bytes = folder.read(path, 0, Math.min(size, mostBytes));
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  };
  const headerPage = readText('events/header_page') ?? '';
  const layout = parseHeaderPage(headerPage);
  if (typeof layout === 'string') return layout;
  const numbers = folder.list('per_cpu').flatMap((name) => /^cpu(\d{1,5})$/.exec(name)?.[1] ?? []);
  const cpus = numbers.map(Number).sort((a, b) => a - b);
  const copied = cpus.map((cpu): CopiedCpu => {
    const path = `per_cpu/cpu${cpu}/trace_pipe_raw`;
    return { cpu, path, sizeBytes: folder.sizeOf(path) };
  });
  const kib = Number(/^\d{1,6}/.exec(readText('buffer_subbuf_size_kb') ?? '')?.[0] ?? 0);
  const pageSizeBytes = kib > 0 && kib * 1024 <= MAX_PAGE_BYTES ? kib * 1024 : layout.pageSizeBytes;
  const events = readFormats(folder, readText);
  if (typeof events === 'string') return events;
  return {
    formats: {
      headerPage: headerPage.replace(/(char data;\s*offset:\d+;\s*size:)\d+/, `$1${pageSizeBytes - layout.dataOffset}`),
      endian: isBigEndian(folder, copied, layout, pageSizeBytes) ? 'big' : 'little',
      events,
      printkFormats: readText('printk_formats') ?? '',
    },
    settings: readTraceSettings(readText, cpus),
    pageSizeBytes,
    cpus: copied.filter(({ sizeBytes }) => sizeBytes > 0),
    readText,
    openPages: () => copied.filter(({ sizeBytes }) => sizeBytes > 0).map((cpu) => openPages(folder, cpu, pageSizeBytes)),
  };
}

function readFormats(folder: FolderSource, readText: ReadText): FormatSet['events'] | string {
  const events: FormatSet['events'][number][] = [];
  let bytes = 0;
  for (const system of folder.list('events')) {
    for (const event of folder.list(`events/${system}`)) {
      const format = readText(`events/${system}/${event}/format`);
      if (format === undefined) continue;
      bytes += format.length;
      if (bytes > MAX_FORMATS_BYTES || events.push({ system, format }) > MAX_EVENTS) return 'more formats than any kernel has';
    }
  }
  return events;
}

function openPages(folder: FolderSource, { cpu, path, sizeBytes }: CopiedCpu, pageSizeBytes: number): PageSequence {
  let at = 0;
  return {
    cpu,
    take: (bytes) => {
      const length = Math.min(sizeBytes - at, Math.max(1, Math.floor(bytes / pageSizeBytes)) * pageSizeBytes);
      const taken = folder.read(path, at, length);
      at += taken.length;
      return taken;
    },
  };
}

/** A page holds no more bytes than it has: read in the wrong order, its count says it does. */
function isBigEndian(folder: FolderSource, cpus: readonly CopiedCpu[], layout: PageLayout, pageSizeBytes: number): boolean {
  const cpu = cpus.find(({ sizeBytes }) => sizeBytes >= pageSizeBytes);
  if (cpu === undefined) return false;
  const head = folder.read(cpu.path, 0, layout.dataOffset);
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  return (view.getUint32(layout.commitOffset, true) & COMMIT_BYTES_MASK) > pageSizeBytes;
}
