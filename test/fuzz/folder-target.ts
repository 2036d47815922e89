/**
 * Targets for what comes as files of a folder: copies of tracefs with the kernel's own text of them, and records of pstore.
 *
 *   input of tracefs_copy    @uname⏎Linux … ⏎@trace_clock⏎[local] …⏎@per_cpu/cpu0/trace_pipe_raw⏎page      each file behind its path
 *   input of trace_text      05 | page                +-- the recorded copy, and the options that its text was read with
 *   input of pstore_record   02 | bytes               +-- the name of the file
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { deflateRawSync, deflateSync, zstdCompressSync } from 'node:zlib';
import { encodeUtf8 } from '../../base/bytes.ts';
import { Kallsyms } from '../../export/kallsyms.ts';
import { TextOut } from '../../export/text-out.ts';
import { TraceText } from '../../export/trace-text.ts';
import { parsePstoreName, readPstoreRecord } from '../../parsers/pstore-record.ts';
import { openTracefsCopy, type TracefsCopy } from '../../parsers/tracefs-copy.ts';
import { openFolderFiles, unpackFolder, type FolderFiles } from '../support/folder-file.ts';
import { loadFixtures } from '../support/parser-suite.ts';
import { fitCommit } from './export-target.ts';
import { countOutcome, Violation, type Runner, type Target } from './target.ts';

const FIXTURES = join(import.meta.dirname, '..', 'fixtures', 'tracefs');
const PAGE_BYTES = 4096;
const RAW = 'per_cpu/cpu0/trace_pipe_raw';
/** Of one record, whose fields may name the same bytes again and again. */
const MAX_LINE_BYTES = 1 << 16;
/** Of the text before the first line: what a copy says of itself is in it. */
const MAX_HEAD_BYTES = 1 << 14;
const MAX_MESSAGE_CHARS = 1000;
/** Then what was kept of symbols is forgotten. */
const RUNS_PER_OPENING = 4096;
/** Files of a copy that say what its text depends on. */
const SETTINGS = [
  'uname',
  'version',
  'preempt',
  'cpu_online',
  'time_start',
  'current_tracer',
  'trace_clock',
  'trace_options',
  'buffer_subbuf_size_kb',
  'saved_cmdlines',
  'saved_tgids',
  'dynamic_events',
  'printk_formats',
  'per_cpu/cpu0/stats',
  'trace',
] as const;
const MOST_SETTING_BYTES = 160;
/** Are read anew by each run, and looked at by few records. */
const LONG_TEXTS = ['printk_formats', 'trace'] as const;
const MOST_TEXT_BYTES = 1024;
const NEWLINE = 10;
const AT_SIGN = 64;

/** Each recorded copy, as it was and with each set of options that its text was read with. */
function* listCopies(): Generator<FolderFiles> {
  for (const name of readdirSync(FIXTURES).filter((file) => file.endsWith('.zst'))) {
    const files = new Map(unpackFolder(join(FIXTURES, name)));
    for (const path of LONG_TEXTS) files.set(path, firstLines(files.get(path) ?? new Uint8Array(0), MOST_TEXT_BYTES));
    const labels = new Set([...files.keys()].flatMap((path) => /^texts\/(\w+)\//.exec(path)?.[1] ?? []));
    for (const label of ['', ...labels]) {
      const options = files.get(`texts/${label}/trace_options`);
      yield options === undefined ? files : new Map(files).set('trace_options', options);
    }
  }
}

function firstLines(bytes: Uint8Array, most: number): Uint8Array {
  return bytes.length <= most ? bytes : bytes.subarray(0, bytes.lastIndexOf(NEWLINE, most) + 1);
}

/** What a copy says of itself, the shortest of its formats and the beginning of a page. */
function bundleOf(files: FolderFiles): Uint8Array {
  const parts: Uint8Array[] = [];
  const add = (path: string, bytes: Uint8Array | undefined): void => {
    if (bytes !== undefined && bytes.length > 0) parts.push(encodeUtf8(`@${path}\n`), bytes);
  };
  for (const path of SETTINGS) add(path, firstLines(files.get(path) ?? new Uint8Array(0), MOST_SETTING_BYTES));
  const formats = [...files].filter(([path]) => path.endsWith('/format')).sort((a, b) => a[1].length - b[1].length);
  for (const [path, bytes] of formats.slice(0, 1)) add(path, bytes);
  add('events/header_page', files.get('events/header_page'));
  add(RAW, files.get(RAW)?.subarray(0, 256));
  return new Uint8Array(Buffer.concat(parts));
}

/** Files by their path: a line that begins with @ is the path of what follows. */
function splitBundle(input: Uint8Array): FolderFiles {
  const files = new Map<string, Uint8Array>();
  let path = '';
  let from = 0;
  const close = (end: number): void => {
    if (path !== '') files.set(path, input.slice(from, end));
  };
  for (let at = 0; at < input.length;) {
    const newline = input.indexOf(NEWLINE, at);
    const end = newline < 0 ? input.length : newline;
    if (input[at] === AT_SIGN) {
      close(at);
      path = Buffer.from(input.subarray(at + 1, end)).toString('latin1');
      from = Math.min(input.length, end + 1);
    }
    at = end + 1;
  }
  close(input.length);
  return files;
}

/** The text of a copy: what was counted are all its pages. */
function checkText(copy: TracefsCopy, symbols: Kallsyms, pagesBytes: number, out: TextOut): TraceText {
  const text = new TraceText({ ...copy, symbols });
  out.clear();
  while (text.write(out, 1));
  if (out.length > MAX_HEAD_BYTES + text.records * MAX_LINE_BYTES)
    throw new Violation(`text: ${out.length} bytes of ${text.records} records`);
  const { parsedBytes, malformedBytes } = text.counts;
  if (text.failure === undefined && parsedBytes + malformedBytes !== pagesBytes)
    throw new Violation(`bytes: ${parsedBytes + malformedBytes} of ${pagesBytes}`);
  for (const problem of text.problems.values()) {
    if (problem.length > MAX_MESSAGE_CHARS) throw new Violation(`message: ${problem.length} characters`);
  }
  return text;
}

const tracefsCopy: Target = {
  id: 'tracefs_copy',
  maxBytes: 3000,
  seeds: () => {
    const bundles = [...listCopies()].map(bundleOf);
    return [...new Map(bundles.map((bundle) => [Buffer.from(bundle).toString('latin1'), bundle])).values()];
  },
  open: () => {
    const out = new TextOut(1 << 14);
    return {
      outcomes: new Map(),
      run(input) {
        const files = splitBundle(input);
        const copy = openTracefsCopy(openFolderFiles(files));
        if (typeof copy === 'string') {
          if (copy.length > MAX_MESSAGE_CHARS) throw new Violation(`message: ${copy.length} characters`);
          return countOutcome(this.outcomes, copy);
        }
        const { comms, tgids, cgroups, eprobes, options } = copy.settings;
        const entries = comms.size + tgids.size + cgroups.size + eprobes.size + options.size;
        if (entries > input.length) throw new Violation(`settings: ${entries} of ${input.length} bytes`);
        const pagesBytes = copy.cpus.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
        const symbols = new Kallsyms(() => files.get('kallsyms') ?? new Uint8Array(0));
        countOutcome(this.outcomes, 'lines', checkText(copy, symbols, pagesBytes, out).records);
      },
    };
  },
};

interface RecordedCopy {
  readonly files: FolderFiles;
  readonly copy: TracefsCopy;
}

class TextRunner implements Runner {
  readonly outcomes = new Map<string, number>();
  readonly #copies = [...listCopies()].map((files): RecordedCopy => ({
    files,
    copy: openTracefsCopy(openFolderFiles(files)) as TracefsCopy,
  }));
  readonly #symbols = new Map<FolderFiles, Kallsyms>();
  readonly #out = new TextOut(1 << 16);
  #runs = 0;

  run(input: Uint8Array): void {
    if (this.#runs++ % RUNS_PER_OPENING === 0) this.#symbols.clear();
    const { files, copy } = this.#copies[(input[0] ?? 0) % this.#copies.length] as RecordedCopy;
    const symbols = this.#symbols.get(files) ?? new Kallsyms(() => files.get('kallsyms') ?? new Uint8Array(0));
    this.#symbols.set(files, symbols);
    const page = input.subarray(1);
    const pages = new Uint8Array(Math.ceil(page.length / PAGE_BYTES) * PAGE_BYTES);
    pages.set(page);
    const openPages: TracefsCopy['openPages'] = () => {
      let left = pages;
      const take = (): Uint8Array => {
        const taken = left;
        left = left.subarray(left.length);
        return taken;
      };
      return [{ cpu: 0, take }];
    };
    const text = checkText({ ...copy, openPages }, symbols, pages.length, this.#out);
    countOutcome(this.outcomes, 'lines', text.records);
    for (const name of text.problems.keys()) countOutcome(this.outcomes, `otherwise than the kernel: ${name}`);
  }
}

const traceText: Target = {
  id: 'trace_text',
  maxBytes: 700,
  seeds: () =>
    [...listCopies()].flatMap((files, index) => {
      const pages = files.get(RAW) ?? new Uint8Array(0);
      return pages.length < PAGE_BYTES ? [] : [new Uint8Array(Buffer.concat([Uint8Array.of(index), pages.subarray(0, 600)]))];
    }),
  repair: (input) => fitCommit(input.subarray(1)),
  open: () => new TextRunner(),
};

/** Deflate packs to 1/1032 at most, zstd further: a record unpacks to 4 MB at most. */
const MAX_UNPACK_RATIO = 1 << 16;
const PSTORE_NAMES = [
  'dmesg-efi_pstore-179565232902002',
  'dmesg-efi_pstore-179565232902002.enc.z',
  'dmesg-erst-7712267718803587073',
  'dmesg-erst-7712267718803587073.enc.z',
  'console-ramoops-0',
  'dmesg-ramoops-0',
  'dmesg-ramoops-0.enc.z',
] as const;

/** Records of a recording, which holds each behind the other, as a backend wrote them. */
function pstoreSeeds(): Uint8Array[] {
  return loadFixtures('pstore', '.pstore').flatMap(({ bytes }) => {
    const at = Buffer.from(bytes)
      .toString('latin1')
      .search(/^(?:Panic|Oops)#\d/m);
    const record = bytes.subarray(Math.max(0, at), Math.max(0, at) + 400);
    const packed = [deflateRawSync(record), deflateSync(record), zstdCompressSync(record)];
    return [
      ...PSTORE_NAMES.map((_name, index) => ({ index, record })),
      ...packed.map((one, i) => ({ index: [1, 3, 6][i] as number, record: one })),
    ].map((one) => new Uint8Array(Buffer.concat([Uint8Array.of(one.index), one.record])));
  });
}

const pstoreRecord: Target = {
  id: 'pstore_record',
  maxBytes: 600,
  seeds: pstoreSeeds,
  open: () => ({
    outcomes: new Map(),
    run(input) {
      const name = PSTORE_NAMES[(input[0] ?? 0) % PSTORE_NAMES.length] as string;
      // Files are named by whoever copied them.
      const anyName = Buffer.from(input.subarray(1, 40)).toString('latin1');
      const parsed = parsePstoreName(anyName);
      if (parsed !== undefined && parsed.backend.length > anyName.length) throw new Violation(`name: ${parsed.backend}`);
      const record = readPstoreRecord({ name, bytes: input.subarray(1), modifiedUnixNs: undefined });
      if (typeof record === 'string') {
        if (record.length > MAX_MESSAGE_CHARS) throw new Violation(`message: ${record.length} characters`);
        return countOutcome(this.outcomes, record);
      }
      const { text, count, part, damagedBlocks, firstRaw, lastRaw } = record;
      if (![count, part, damagedBlocks].every((number) => Number.isSafeInteger(number) && number >= 0))
        throw new Violation(`numbers: ${count}, ${part}, ${damagedBlocks}`);
      if (text.length > MAX_UNPACK_RATIO * input.length) throw new Violation(`text: ${text.length} bytes of ${input.length}`);
      if ((firstRaw === undefined) !== (lastRaw === undefined)) throw new Violation('stamps: one without the other');
      countOutcome(this.outcomes, record.reason);
    },
  }),
};
export const FOLDER_TARGETS: readonly Target[] = [tracefsCopy, traceText, pstoreRecord];
