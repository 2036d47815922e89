import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateRawSync, deflateSync, zstdCompressSync } from 'node:zlib';
import { encodeUtf8 } from '../../base/bytes.ts';
import { LogBatch } from '../../model/log-batch.ts';
import { packPstore, pstore } from '../../parsers/pstore.ts';
import { toPstoreBoots } from '../../parsers/pstore-boots.ts';
import { parsePstoreName, readPstoreRecord, type PstoreFile, type PstoreRecord } from '../../parsers/pstore-record.ts';
import { readPstoreFrame } from '../../parsers/pstore-frame.ts';
import { createRandom } from '../support/random.ts';
import { loadFixtures, parseInChunks } from '../support/parser-suite.ts';

const [efi, erst, ramoops] = loadFixtures('pstore', '.pstore').map(({ bytes }) => unpack(bytes)) as [
  PstoreFile[],
  PstoreFile[],
  PstoreFile[],
];

/** The files of a packed fixture. */
function unpack(bytes: Uint8Array): PstoreFile[] {
  const files: PstoreFile[] = [];
  for (let at = 0; at < bytes.length;) {
    const frame = readPstoreFrame(bytes, at);
    assert.ok(frame?.sizeBytes !== undefined, `no frame at ${at}`);
    const end = frame.end + frame.sizeBytes;
    files.push({ name: frame.name, bytes: bytes.slice(frame.end, end), modifiedUnixNs: frame.modifiedUnixNs });
    at = end + 1;
  }
  return files;
}

function toRecords(files: readonly PstoreFile[]): PstoreRecord[] {
  return files.map((file) => {
    const read = readPstoreRecord(file);
    assert.ok(typeof read !== 'string', `${file.name}: ${String(read)}`);
    return read;
  });
}

function toLines(files: readonly PstoreFile[]): string[] {
  return toPstoreBoots(toRecords(files)).flatMap(({ text }, index) =>
    Buffer.from(text)
      .toString('latin1')
      .trimEnd()
      .split('\n')
      .map((line) => `${index} ${line}`),
  );
}

function record(name: string, text: string, modifiedUnixNs?: bigint): PstoreFile {
  return { name, bytes: encodeUtf8(text), modifiedUnixNs };
}

test('pstore: a name says type, backend and id', () => {
  assert.deepEqual(parsePstoreName('dmesg-efi_pstore-179565259801001'), {
    type: 'dmesg',
    backend: 'efi_pstore',
    id: 179565259801001n,
    isCompressed: false,
  });
  assert.deepEqual(parsePstoreName('console-ramoops-0')?.type, 'console');
  assert.equal(parsePstoreName('powerpc-ofw-nvram-1')?.type, 'powerpc-ofw');
  assert.equal(parsePstoreName('dmesg-erst-7712268350163779585.enc.z')?.isCompressed, true);
  for (const name of ['dmesg.txt', 'dmesg-', 'dmesg-efi-', 'dmesg-efi-12x', '../dmesg-efi-1', 'console.log']) {
    assert.equal(parsePstoreName(name), undefined, name);
  }
});

test('pstore: the order of the files does not matter', () => {
  const random = createRandom(5);
  for (const files of [efi, erst, ramoops]) {
    const lines = toLines(files);
    for (let round = 0; round < 5; round++) {
      const shuffled = files.map((file) => ({ file, key: random() })).toSorted((a, b) => a.key - b.key);
      assert.deepEqual(toLines(shuffled.map(({ file }) => file)), lines);
    }
  }
});

test('pstore: crashes of one boot are one log, each line once and in order; another boot is another one', () => {
  const boots = toPstoreBoots(toRecords(efi));
  assert.deepEqual(
    boots.map(({ crashes }) => crashes.map(({ reason, count, parts }) => [reason, count, parts.map(({ part }) => part)])),
    [
      [
        ['Oops', 1, [3, 2, 1]],
        ['Panic', 2, [3, 2, 1]],
      ],
      [['Panic', 1, [3, 2, 1]]],
    ],
  );
  for (const { text } of boots) {
    const lines = Buffer.from(text).toString('latin1').trimEnd().split('\n');
    const stamps = lines.map((line) => Number(/\[ *(\d+\.\d{6})\]/.exec(line)?.[1]));
    assert.deepEqual(
      stamps,
      stamps.toSorted((a, b) => a - b),
    );
    assert.equal(new Set(lines).size, lines.length);
  }
  const first = Buffer.from(boots[0]?.text ?? []).toString('latin1');
  for (const part of toRecords(efi.filter(({ name }) => !name.includes('17956526')))) {
    for (const line of Buffer.from(part.text).toString('latin1').trimEnd().split('\n')) assert.ok(first.includes(`${line}\n`), line);
  }
});

test('pstore: times come from the id of EFI, and from files that nobody copied', () => {
  const [boot] = toPstoreBoots(toRecords(efi.map((file) => ({ ...file, modifiedUnixNs: 1_900_000_000_123_456_789n }))));
  assert.deepEqual([boot?.moment?.unixLow, boot?.moment?.unixHigh], [1_795_652_596_000_000_000n, 1_795_652_599_000_000_000n]);
  const copied = ramoops.map((file) => ({ ...file, modifiedUnixNs: 1_795_652_400_000_000_001n }));
  assert.equal(toPstoreBoots(toRecords(copied))[0]?.moment, undefined);
  assert.ok(toPstoreBoots(toRecords(ramoops))[0]?.moment !== undefined);
  // Its numbers began at the time of the first record, whatever became of the times of the files.
  const touched = erst.map((file) => ({ ...file, modifiedUnixNs: undefined }));
  assert.equal(toPstoreBoots(toRecords(touched))[0]?.moment?.unixHigh, toPstoreBoots(toRecords(erst))[0]?.moment?.unixHigh);
});

test('pstore: parts that are missing are gaps in their place', () => {
  const rest = efi.filter(({ name }) => !/(?:9802001|1802002|2801002)$/.test(name));
  const missing = efi.filter((file) => !rest.includes(file));
  const [boot] = toPstoreBoots(toRecords(rest));
  const [before, after] = ['9803001', '9801001'].map((end) => toRecords(efi).find(({ name }) => name.endsWith(end)));
  assert.ok(missing.length > 0);
  assert.deepEqual(boot?.losses[0], {
    cpu: -1,
    count: undefined,
    fromRaw: before?.lastRaw,
    toRaw: after?.firstRaw,
    reason: 'pstore_missing',
  });
  // Without part 1 the last words are missing.
  const headless = toPstoreBoots(toRecords(efi.filter(({ name }) => /980[23]001$/.test(name))));
  assert.equal(headless[0]?.losses.length, 1);
  assert.equal(headless[0]?.losses[0]?.toRaw, -1n);
  assert.equal(toPstoreBoots(toRecords(efi)).flatMap(({ losses }) => losses).length, 0);
});

test('pstore: what was printed between two dumps and is in neither is a gap', () => {
  const made = 1_795_652_400_000_000_000n;
  const files = [
    record('dmesg-ramoops-0', 'Oops#1 Part1\n<6>[    1.000000] a\n<4>[    2.000000] b\n', made),
    record('dmesg-ramoops-1', 'Panic#2 Part1\n<6>[   90.000000] y\n<0>[   92.000000] z\n', made + 90_000_000_000n),
  ];
  const boots = toPstoreBoots(toRecords(files));
  assert.equal(boots.length, 1);
  assert.deepEqual(
    boots[0]?.losses.map(({ fromRaw, toRaw }) => [fromRaw, toRaw]),
    [[2_000_000_000n, 90_000_000_000n]],
  );
  // Made at a time that this boot cannot have been: another one.
  const later = [files[0] as PstoreFile, { ...(files[1] as PstoreFile), modifiedUnixNs: made + 3_600_000_000_000n }];
  assert.equal(toPstoreBoots(toRecords(later)).length, 2);
});

test('pstore: the console of ramoops joins the boot whose lines it has', () => {
  const [oops] = toRecords(ramoops);
  const shown = Buffer.from(oops?.text ?? [])
    .toString('latin1')
    .replaceAll(/^<\d+>/gm, '');
  const console = record('console-ramoops-0', `[    0.000000] Linux version 6.1.0\n${shown}[    9.999999] the last line\nno stamp\n`);
  const boots = toPstoreBoots(toRecords([...ramoops, console]));
  assert.equal(boots.length, 1);
  const lines = Buffer.from(boots[0]?.text ?? [])
    .toString('latin1')
    .split('\n');
  assert.equal(lines[0], '[    0.000000] Linux version 6.1.0');
  assert.deepEqual(lines.slice(-3), ['[    9.999999] the last line', 'no stamp', '']);
  assert.equal(lines.filter((line) => line.includes('rig: an error')).length, 1);
});

test('pstore: unpacks deflate, zlib and zstd; what has no mark is refused with what to do', () => {
  const text = Buffer.from('Panic#1 Part1\n<0>[    1.000000] last words\n');
  for (const packed of [deflateRawSync(text), deflateSync(text, { windowBits: 12 }), zstdCompressSync(text)]) {
    const read = readPstoreRecord({ name: 'dmesg-erst-1.enc.z', bytes: packed, modifiedUnixNs: undefined });
    assert.equal(typeof read === 'string' ? read : Buffer.from(read.text).toString(), '<0>[    1.000000] last words\n');
  }
  // ramoops puts its notice behind what is still packed.
  const noticed = Buffer.concat([deflateRawSync(text), Buffer.from('\nECC: No errors detected\n')]);
  assert.equal(typeof readPstoreRecord({ name: 'dmesg-ramoops-0.enc.z', bytes: noticed, modifiedUnixNs: undefined }), 'object');
  const lz4 = Uint8Array.from([0xf0, 0x05, ...text]);
  assert.match(
    String(readPstoreRecord({ name: 'dmesg-erst-1.enc.z', bytes: lz4, modifiedUnixNs: undefined })),
    /lzo, lz4 or 842.*boot a kernel/,
  );
  const bomb = deflateRawSync(Buffer.concat([text, Buffer.alloc(64 << 20)]));
  assert.equal(typeof readPstoreRecord({ name: 'dmesg-erst-1.enc.z', bytes: bomb, modifiedUnixNs: undefined }), 'string');
});

test('pstore: what holds no kernel log is counted with its reason, and damage is said', () => {
  const input = packPstore([
    record('dmesg-ramoops-0', 'Panic#1 Part1\n<0>[    1.000000] x\n\nECC: 3 Corrected bytes, 2 unrecoverable blocks\n'),
    record('pmsg-ramoops-0', 'anything\n==> dmesg-ramoops-9 <==\nPanic#1 Part1\n<0>[    1.000000] forged\n'),
    record('ftrace-ramoops-0', 'CPU:0 ts:1 …\n'),
    record('dmesg-ramoops-1', 'no header\n'),
  ]);
  const session = pstore.open();
  const batch = new LogBatch();
  assert.equal(session.finish(input, batch), input.length);
  assert.deepEqual(
    Array.from({ length: batch.length }, (_, row) => batch.textOf(row)),
    ['x'],
  );
  assert.equal(session.counts.malformed.get('blocks that ECC could not repair'), 2);
  assert.equal(session.counts.malformed.get('no pstore header (Panic#1 Part1)'), 1);
  assert.equal([...session.counts.malformed.keys()].filter((reason) => /pmsg0|function calls/.test(reason)).length, 2);
  assert.equal(session.counts.parsedBytes + session.counts.malformedBytes, input.length);
});

test('pstore: reads what cat and tail print as it reads the files', () => {
  const files = ramoops.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const rows = parseInChunks(pstore, packPstore(files), []);
  const cat = Buffer.concat(files.map(({ bytes }) => bytes));
  const tail = Buffer.concat(
    files.flatMap(({ name, bytes }) => [Buffer.from(`==> /sys/fs/pstore/${name} <==\n`), bytes, Buffer.from('\n')]),
  );
  assert.deepEqual(parseInChunks(pstore, cat, []), rows);
  assert.deepEqual(parseInChunks(pstore, tail, []), rows);
  assert.ok(pstore.sniff(cat) && pstore.sniff(tail) && pstore.sniff(files[0]?.bytes ?? new Uint8Array(0)));
});
