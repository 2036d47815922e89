/**
 * `mkscope import` of files that were made to hurt: each is told with its offset and cause, what can be read is stored, and all
 * of them together end soon, in a heap of 256 MB, with exit code 0.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { encodeUtf8 } from '../../base/bytes.ts';
import type { ImportResult } from '../../model/api.ts';
import { headerPageOf, PageWriter, payloadOf, THIS_KERNEL } from '../support/page-writer.ts';
import { loadFixtures } from '../support/parser-suite.ts';
import { runCli } from '../support/run-cli.ts';
import { textOption, writeTraceDat, type DatContent } from '../support/trace-dat-writer.ts';

const EVENT_ID = 9;
const PAGE_EVENTS = 20;
const SECTION_HEADER_BYTES = 16;
const SECTION_FORMATS = 17;
const SECTION_SYSTEMS = 18;
const SECTION_CMDLINES = 21;
const MANY = 0xffff_ffff;
const HEAP_MB = 256;

interface Case {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly records: number;
  /** Undefined: nothing is wrong with it, it only looks so. */
  readonly told: RegExp | undefined;
}

function formatOf(name: string, id: number, fields = '\tfield:int a;\toffset:8;\tsize:4;\tsigned:1;\n', print = '"%d", REC->a'): string {
  const common =
    '\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n';
  return `name: ${name}\nID: ${id}\nformat:\n${common}\n${fields}\nprint fmt: ${print}\n`;
}

function pageOf(events = PAGE_EVENTS): Uint8Array {
  const page = new PageWriter(1_000_000n);
  for (let i = 0; i < events; i++) page.event(1000, payloadOf(EVENT_ID, 42, 12, true));
  return page.finish();
}

const GOOD = { system: 'x', format: formatOf('good', EVENT_ID) };

/** A file with one CPU's page of events, or what `over` makes of it. */
function datOf(over: Partial<DatContent> = {}, events: DatContent['formats']['events'] = [GOOD]): Uint8Array<ArrayBuffer> {
  return writeTraceDat({
    formats: { headerPage: headerPageOf(THIS_KERNEL), endian: 'little', events, printkFormats: '' },
    comms: '42 task\n',
    options: [textOption(4, '[local] global')],
    buffers: [bufferOf([pageOf()])],
    ...over,
  });
}

function bufferOf(cpus: readonly Uint8Array[]): DatContent['buffers'][number] {
  return { instance: '', clock: 'local', pageSizeBytes: 4096, cpus: cpus.map((pages, cpu) => ({ cpu, pages })) };
}

/** A file whose numbers are changed by their place. */
class Patched {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
  }

  /** Where the head holds the offset of the first options, behind the compression's name and version. */
  get firstAt(): number {
    return this.bytes.indexOf(0, this.bytes.indexOf(0, 18) + 1) + 1;
  }

  get firstOptions(): number {
    return Number(this.view.getBigUint64(this.firstAt, true));
  }

  /** Where the DONE option of the options at `at` holds the offset of the next ones. */
  nextAt(at: number): number {
    return at + SECTION_HEADER_BYTES + Number(this.view.getBigUint64(at + 8, true)) - 8;
  }

  /** The content of a section of texts: those stand in front of the options, one behind the other. */
  contentOf(id: number): number {
    let at = this.firstAt + 8;
    while (this.view.getUint16(at, true) !== id) at += SECTION_HEADER_BYTES + Number(this.view.getBigUint64(at + 8, true));
    return at + SECTION_HEADER_BYTES;
  }

  /** The page size in the BUFFER option, with the count of CPUs and their extents behind it. */
  get pageSizeAt(): number {
    const second = Number(this.view.getBigUint64(this.nextAt(this.firstOptions), true));
    return second + SECTION_HEADER_BYTES + 6 + 8 + 1 + 'local\0'.length;
  }

  u32(at: number, value: number): Uint8Array {
    this.view.setUint32(at, value, true);
    return this.bytes;
  }

  u64(at: number, value: number | bigint): Uint8Array {
    this.view.setBigUint64(at, BigInt(value), true);
    return this.bytes;
  }
}

const patch = (change: (file: Patched) => Uint8Array, bytes = datOf()): Uint8Array => change(new Patched(bytes));

/** All CPUs at the place of the first one, each as large as the file. */
function overlapping(): Uint8Array {
  const file = new Patched(datOf({ buffers: [bufferOf([0, 1, 2, 3].map(() => pageOf()))] }));
  const tableAt = file.pageSizeAt + 8;
  for (let cpu = 1; cpu < 4; cpu++) {
    file.u64(tableAt + cpu * 20 + 4, file.view.getBigUint64(tableAt + 4, true));
    file.u64(tableAt + cpu * 20 + 12, file.bytes.length);
  }
  return file.bytes;
}

/** Command lines of 256 MB in 260 KB, in a section at the end of the file that says 64 MB. */
function bombInSection(): Uint8Array {
  const packed = deflateSync(new Uint8Array(256 << 20), { level: 1 });
  const file = datOf({ compression: 'zlib' });
  const whole = new Patched(new Uint8Array(file.length + SECTION_HEADER_BYTES + 8 + packed.length));
  whole.bytes.set(file);
  whole.bytes.set(packed, file.length + SECTION_HEADER_BYTES + 8);
  whole.u32(file.length, SECTION_CMDLINES | (1 << 16));
  whole.u64(file.length + 8, packed.length + 8);
  whole.u32(file.length + SECTION_HEADER_BYTES, packed.length);
  whole.u32(file.length + SECTION_HEADER_BYTES + 4, 64 << 20);
  let at = whole.firstOptions + SECTION_HEADER_BYTES;
  while (whole.view.getUint16(at, true) !== SECTION_CMDLINES) at += 6 + whole.view.getUint32(at + 2, true);
  return whole.u64(at + 6, file.length);
}

/** One CPU's chunk that says it unpacks to 4 GB. */
function bombInChunk(): Uint8Array {
  const file = new Patched(datOf({ compression: 'zlib' }));
  return file.u32(Number(file.view.getBigUint64(file.pageSizeAt + 12, true)) + 8, MANY);
}

/** So many chunks of 4 bytes that are no frame, behind the file: Node keeps 2 KB of each one that it could not unpack. */
function brokenChunks(compression: 'zlib' | 'zstd', count: number): Uint8Array {
  const file = datOf({ compression });
  const whole = new Patched(new Uint8Array(file.length + 4 + count * 12));
  whole.bytes.set(file);
  const extentAt = whole.pageSizeAt + 12;
  whole.u64(extentAt, file.length);
  whole.u64(extentAt + 8, 4 + count * 12);
  whole.u32(file.length, count);
  for (let at = file.length + 4; at < whole.bytes.length; at += 12) {
    whole.u32(at, 4);
    whole.u32(at + 4, 4096);
    whole.u32(at + 8, 0x4141_4141);
  }
  return whole.bytes;
}

function brokenPage(): Uint8Array {
  const broken = pageOf();
  broken.fill(0xff, 100, 140);
  return datOf({ buffers: [bufferOf([Uint8Array.from([...pageOf(), ...broken, ...pageOf()])])] });
}

const fieldLines = (count: number): string =>
  Array.from({ length: count }, (_none, i) => `\tfield:int f${i};\toffset:${8 + 4 * i};\tsize:4;\tsigned:1;`).join('\n');

function traceDatCases(): Case[] {
  const { length } = datOf();
  const nested = [
    { system: 'x', format: formatOf('deep', 10, `\tfield:int a${'['.repeat(100_000)};\toffset:8;\tsize:4;\tsigned:1;\n`) },
    { system: 'x', format: formatOf('call', 11, undefined, `"%d", ${'('.repeat(200_000)}REC->a${')'.repeat(200_000)}`) },
    { system: 'x', format: formatOf('flags', 12, undefined, `"%s", __print_flags(REC->a, "|", ${'{'.repeat(200_000)}`) },
  ];
  const endless = new Uint8Array(length + (1 << 20)).fill(0x41);
  endless.set(datOf().subarray(0, 18));
  return [
    {
      name: 'options-cycle',
      bytes: patch((file) => file.u64(file.nextAt(file.firstOptions), file.firstOptions)),
      records: 20,
      told: /options point back at themselves at byte \d+/,
    },
    {
      name: 'options-far',
      bytes: patch((file) => file.u64(file.firstAt, 0xffff_ffff_ffff_fff0n)),
      records: 20,
      told: /no section 0 at byte 1844674407370955\d+/,
    },
    {
      name: 'many-formats',
      bytes: patch((file) => file.u32(file.contentOf(SECTION_FORMATS), MANY)),
      records: 20,
      told: /format 1 of 4294967295 of ftrace is cut or too large at byte 4 of section 17, which is at byte \d+/,
    },
    {
      name: 'many-systems',
      bytes: patch((file) => file.u32(file.contentOf(SECTION_SYSTEMS), MANY)),
      records: 20,
      told: /system 2 of 4294967295 with event formats is cut or too much at byte \d+ of section 18/,
    },
    {
      name: 'many-cpus',
      bytes: patch((file) => file.u32(file.pageSizeAt + 4, MANY)),
      records: 0,
      told: /buffer "" is not understood at byte \d+/,
    },
    { name: 'page-of-0', bytes: patch((file) => file.u32(file.pageSizeAt, 0)), records: 20, told: /pages of 0 bytes at byte 4096/ },
    {
      name: 'page-of-4g',
      bytes: patch((file) => file.u32(file.pageSizeAt, MANY)),
      records: 20,
      told: /pages of 4294967295 bytes at byte 4096/,
    },
    { name: 'overlapping', bytes: overlapping(), records: 100, told: /pages of CPU 2 lie over others at byte 4096/ },
    { name: 'section-bomb', bytes: bombInSection(), records: 20, told: /section 21 cannot be unpacked .* at byte \d+/ },
    {
      name: 'chunk-bomb',
      bytes: bombInChunk(),
      records: 0,
      told: /chunks of pages of CPU 0 are cut or have sizes that do not fit at byte \d+/,
    },
    ...(['zlib', 'zstd'] as const).map((compression) => ({
      name: `broken-chunks-${compression}`,
      bytes: brokenChunks(compression, 300_000),
      records: 0,
      told: /28\d{4} chunks of pages of CPU 0 are left out: more than 16384 of the file cannot be unpacked at byte \d+/,
    })),
    { name: 'endless-name', bytes: endless, records: 0, told: /the file is cut in its head at byte \d+/ },
    {
      name: 'million-fields',
      bytes: datOf({}, [GOOD, { system: 'x', format: formatOf('wide', 10, fieldLines(20_000)) }]),
      records: 20,
      told: /x:wide: more than 512 fields/,
    },
    { name: 'nested', bytes: datOf({}, [GOOD, ...nested]), records: 20, told: /x:deep: field line not understood/ },
    {
      name: 'one-id-twice',
      bytes: datOf({}, [GOOD, { system: 'y', format: formatOf('other', EVENT_ID, '\tfield:u64 b;\toffset:8;\tsize:8;\tsigned:0;\n') }]),
      records: 20,
      told: /y:other has the ID 9 of x:good/,
    },
    { name: 'broken-page', bytes: brokenPage(), records: 57, told: /unknown_event/ },
    { name: 'cut', bytes: datOf().subarray(0, length - 1000), records: 0, told: /is cut|no section|table of CPUs/ },
  ];
}

const fixture = (folder: string, ending: string, name: string): Uint8Array => {
  const found = loadFixtures(folder, ending).find((one) => one.name === `${folder}/${name}`);
  assert.ok(found !== undefined, name);
  return found.bytes;
};
const join3 = (...parts: readonly (Uint8Array | string)[]): Uint8Array =>
  new Uint8Array(Buffer.concat(parts.map((part) => (typeof part === 'string' ? encodeUtf8(part) : part))));

function textCases(): Case[] {
  const records = fixture('kmsg', '.kmsg', 'live');
  const trace = fixture('ftrace', '.txt', 'nop');
  const event = '            bash-11843   [001] d..2.  2351.415237: tracing_mark_write: ';
  return [
    {
      name: 'dictionary-for-ever.kmsg',
      bytes: join3('6,1,100,-;first\n', ' KEY=value\n'.repeat(400_000), '6,2,200,-;last\n'),
      records: 2,
      told: /dictionary line without a record at byte 65\d+ and elsewhere/,
    },
    {
      name: 'garbage.kmsg',
      bytes: join3(records, 'what is this\n', records),
      records: 154,
      told: new RegExp(`no kmsg header at byte ${records.length}$`, 'm'),
    },
    {
      name: 'nested.json',
      bytes: join3('{"dmesg":[', '{"a":'.repeat(200_000)),
      records: 0,
      told: /record too long at byte 10 and elsewhere/,
    },
    {
      name: 'endless-line.txt',
      bytes: join3(trace, event, 'A'.repeat(16 << 20), '\n', trace),
      records: 351,
      told: /no event line at byte \d+ and elsewhere/,
    },
    {
      name: 'no-newline.txt',
      bytes: join3(trace, event, 'A'.repeat(8 << 20)),
      records: 176,
      told: /no event line at byte \d+ and elsewhere/,
    },
  ];
}

test('import: hostile files are told with offset and cause, and what can be read is kept', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-hostile-'));
  try {
    const cases = [...traceDatCases(), ...textCases()];
    for (const { name, bytes } of cases) writeFileSync(join(folder, name), bytes);
    const files = cases.map(({ name }) => join(folder, name));
    const { code, stdout, stderr } = await runCli(['import', '--json', '--data', join(folder, 'data'), ...files], {
      env: { NODE_OPTIONS: `--max-old-space-size=${HEAP_MB}` },
    });
    assert.equal(code, 0, stderr);
    const results = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as ImportResult);
    assert.equal(results.length, cases.length);
    for (const [i, { name, records, told }] of cases.entries()) {
      const { malformed, records: stored } = results[i] as ImportResult;
      const said = Object.keys(malformed).join('\n');
      assert.equal(stored, records, `${name}: ${said}`);
      if (told !== undefined) assert.match(said, told, name);
      assert.ok(said.length < 8000, `${name}: ${said.length} characters of problems`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
