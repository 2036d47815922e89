/** Targets for small texts and tables: format files, counters, what a terminal is shown, the truth of a lab. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { encodeUtf8 } from '../../base/bytes.ts';
import { isOperational } from '../../base/errors.ts';
import { ATTR } from '../../model/attributes.ts';
import { EventBatch } from '../../model/event-batch.ts';
import { LogBatch } from '../../model/log-batch.ts';
import { escapeControls, escapeLine } from '../../cli/terminal.ts';
import { parseCounters, parseMeminfo, parsePressure, parseStat } from '../../collector/proc-text.ts';
import { parseStats } from '../../collector/tracefs.ts';
import { ReportRecogniser, type RecognisedReport } from '../../correlate/recognise-reports.ts';
import { addReport, toReportRows } from '../../correlate/report-rows.ts';
import { encodeDeviceTree, text, u32, u64 } from '../../deploy/lab/device-tree.ts';
import { pairMessages, readTruth } from '../../deploy/lab/truth.ts';
import { openConsole } from '../../parsers/console.ts';
import { parseDeviceTree, readString, readU64List, type DeviceTreeNode } from '../../parsers/device-tree.ts';
import { parseEventFormat } from '../../parsers/event-format.ts';
import { parseHeaderPage } from '../../parsers/page-header.ts';
import { openPageReader } from '../../parsers/ring-buffer.ts';
import { headerPageOf, PageWriter, payloadOf, THIS_KERNEL } from '../support/page-writer.ts';
import { loadFixtures } from '../support/parser-suite.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { countOutcome, Violation, type Runner, type Target } from './target.ts';

const MAX_FIELDS = 512;
/** Then they are forgotten. */
const MAX_REPORT_ROWS = 64;
/** Bytes of a record that a mutated format reads its fields from. */
const RECORD_BYTES = 96;
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** A format is read, and then a page of records of it: whatever it says, nothing is read outside of them. */
const eventFormat: Target = {
  id: 'event_format',
  maxBytes: 900,
  seeds: () => {
    const { set } = readRingFixture();
    return [...set.events.map(({ format }) => encodeUtf8(format)), encodeUtf8(set.headerPage)];
  },
  open: () => {
    const form = { ...THIS_KERNEL, sizeBytes: 512 };
    const headerPage = headerPageOf(form);
    const payload = payloadOf(0, 7, RECORD_BYTES, true, (view) => {
      for (let at = 8; at < RECORD_BYTES; at++) view.setUint8(at, at * 37);
    });
    const page = new PageWriter(5n, form).event(1, payload).event(2, payload).finish();
    const page32 = new PageWriter(5n, form).event(1, payload.subarray(0, 12)).finish();
    return {
      outcomes: new Map(),
      run(input) {
        const text = decoder.decode(input);
        const layout = parseHeaderPage(text);
        if (typeof layout !== 'string') countOutcome(this.outcomes, 'header_page');
        const format = parseEventFormat(text, 'fuzz');
        if (typeof format === 'string') {
          if (format.length > 400) throw new Violation(`message: ${format.length} characters`);
          return countOutcome(
            this.outcomes,
            format.replace(/: field line not.*/s, ': field line not understood').replace(/fuzz:\S*/, 'event'),
          );
        }
        if (format.fields.length + format.common.length > MAX_FIELDS) throw new Violation(`fields: ${format.fields.length}`);
        countOutcome(this.outcomes, 'format');
        const reader = openPageReader({ headerPage, endian: 'little', events: [{ system: 'fuzz', format: text }], printkFormats: '' });
        for (const bytes of [page, page32]) {
          new DataView(bytes.buffer).setUint16(20, format.id, true);
          const batch = new EventBatch();
          reader.read(bytes, form.sizeBytes, 0, batch);
          const stringBytes = batch.strings.usedBytes;
          // Shown as numbers, bytes take up to five characters each; locations may name the same bytes four times.
          if (stringBytes > 2 * RECORD_BYTES * 4 * 5) throw new Violation(`strings: ${stringBytes} bytes of two records`);
        }
      },
    };
  },
};

const procText: Target = {
  id: 'proc_text',
  seeds: () =>
    [
      'cpu  2718 0 1352 133438 56 0 21 9 0 0\ncpu0 2718 0 1352 133438 56 0 21 9 0 0\nintr 390052 1\nctxt 812345\nprocesses 9012\nprocs_running 2\n',
      'MemTotal:       24683656 kB\nMemFree: 12 kB\n',
      'some avg10=0.25 avg60=0.70 avg300=0.43 total=16765946\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n',
      'pgmajfault 1234\npgfault 99\n',
      'entries: 0\noverrun: 674\ncommit overrun: 0\nbytes: 0\noldest event ts:  2351.415237\nnow ts: 2358.4\ndropped events: 0\nread events: 99\n',
    ].map(encodeUtf8),
  open: () => ({
    outcomes: new Map(),
    run(input) {
      const text = decoder.decode(input);
      const { cpus } = parseStat(text);
      for (const { cpu } of cpus) if (!(cpu >= -1 && cpu < 8192)) throw new Violation(`cpu: ${cpu}`);
      for (const [name, value] of parseMeminfo(text)) if (!Number.isFinite(value)) throw new Violation(`meminfo: ${name} is ${value}`);
      parsePressure(text);
      parseCounters(text, ['pgmajfault']);
      for (const [name, value] of Object.entries(parseStats(text))) if (!(value >= 0)) throw new Violation(`stats: ${name} is ${value}`);
    },
  }),
};

/** C0 but newline and tab, DEL, C1, and what reorders a line: none of it may reach a terminal. */
// oxlint-disable-next-line no-control-regex -- control characters are what it is about
const UNSAFE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/;

const terminal: Target = {
  id: 'terminal_text',
  seeds: () => ['\u001b[31mred\u001b[0m usb\r\n', 'a\u202eb\u2066c\u2069\ttab', '\u009b2J\u0007\u007f', 'plain text'].map(encodeUtf8),
  open: () => ({
    outcomes: new Map(),
    run(input) {
      const text = decoder.decode(input);
      const line = escapeLine(text);
      if (UNSAFE.test(escapeControls(text)) || UNSAFE.test(line)) throw new Violation('control: a character gets through');
      if (/[\n\t]/.test(line)) throw new Violation('line: more than one');
      if (line.length > text.length * 8) throw new Violation(`text: ${line.length} characters of ${text.length}`);
    },
  }),
};

/** Refuses damaged files as a whole, by contract: with E_INPUT_FORMAT and nothing else. */
const labTruth: Target = {
  id: 'lab_truth',
  maxBytes: 64 + 128 * 8,
  seeds: () => {
    const file = gunzipSync(readFileSync(join(import.meta.dirname, '..', 'fixtures', 'lab-truth', 'two-kernels.bin.gz')));
    return [0, 1, 2, 3].map(
      (part) => new Uint8Array(Buffer.concat([file.subarray(0, 64), file.subarray(64 + part * 512, 64 + part * 512 + 512)])),
    );
  },
  open: () => ({
    outcomes: new Map(),
    run(input) {
      try {
        const { records, partialBytes } = readTruth(input);
        if (records.length * 128 + partialBytes > input.length) throw new Violation(`records: ${records.length} in ${input.length} bytes`);
        pairMessages(records);
        countOutcome(this.outcomes, 'rows', records.length);
      } catch (error) {
        if (!isOperational(error)) throw error;
        countOutcome(this.outcomes, error.code);
      }
    },
  }),
};

/** A console's text, and what is made of the reports in it: lines of any form meet the many expressions of `correlate/`. */
const kernelReport: Target = {
  id: 'kernel_report',
  maxBytes: 1500,
  seeds: () => loadFixtures('kernel-reports/written', '.console').map(({ bytes }) => bytes.slice(0, bytes.lastIndexOf(10, 1100) + 1)),
  open: () => new ReportRunner(),
};

/** Batches serve many runs, as a follower's do, and are then emptied. */
class ReportRunner implements Runner {
  readonly outcomes = new Map<string, number>();
  readonly #lines = new LogBatch(256);
  readonly #rows = new LogBatch(64);

  run(input: Uint8Array, deep: boolean): void {
    const lines = this.#lines;
    lines.clear();
    openConsole().finish(input, lines);
    const recogniser = new ReportRecogniser();
    recogniser.take(lines);
    recogniser.finish();
    const found = recogniser.takeReports();
    for (const one of found) this.#addReport(one, input);
    if (!deep) return;
    const rows = toReportRows(found, 'console').length;
    if (rows !== found.length) throw new Violation(`rows: ${rows} for ${found.length} reports`);
  }

  /** As a row, whose body is the title; the stacks are among its attributes. */
  #addReport(one: RecognisedReport, input: Uint8Array): void {
    const rows = this.#rows;
    if (rows.length >= MAX_REPORT_ROWS) rows.clear();
    const row = rows.length;
    addReport(rows, one, { stream: 'console', firstSequence: one.first.sequence, lastSequence: one.last.sequence });
    if (rows.length !== row + 1) throw new Violation(`rows: ${rows.length - row} for one report`);
    countOutcome(this.outcomes, rows.strings.get(rows.eventName[row] as number));
    const shown = (rows.textEnd[row] as number) - (rows.textStart[row] as number) + stackBytesOf(rows, row);
    if (shown > 4096 + input.length * 8) throw new Violation(`text: ${shown} bytes of ${input.length}`);
  }
}

function stackBytesOf({ attributes, strings }: LogBatch, row: number): number {
  const { offsets, keys, ids } = attributes;
  for (let pair = offsets[row] as number; pair < (offsets[row + 1] as number); pair++) {
    const id = ids[pair] as number;
    if (strings.get(keys[pair] as number) === ATTR.exceptionStacktrace)
      return (strings.ends[id] as number) - (strings.starts[id] as number);
  }
  return 0;
}

/** A tree, whatever it is: its nodes and values lie within the blob, or it is refused in words. */
const deviceTree: Target = {
  id: 'device_tree',
  maxBytes: 700,
  seeds: () => {
    const instance = encodeDeviceTree({
      properties: { compatible: text('multikernel-v1'), model: text('web-1'), id: u32(3) },
      children: {
        resources: {
          properties: { cpus: u64(8, 10), 'memory-base': u64(0x1_0000_0000), 'memory-bytes': u64(0x8000_0000) },
          children: { devices: { children: { nic: { properties: { 'pci-id': text('0000:03:00.0') } } } } },
        },
      },
    });
    return [new Uint8Array(instance), new Uint8Array(encodeDeviceTree({}))];
  },
  open: () => ({
    outcomes: new Map(),
    run(input) {
      const tree = parseDeviceTree(input);
      if (typeof tree === 'string') {
        if (tree.length > 200) throw new Violation(`message: ${tree.length} characters`);
        return countOutcome(this.outcomes, tree.replaceAll(/\d+/g, 'N'));
      }
      const nodes = countNodes(tree);
      if (nodes * 8 > input.length) throw new Violation(`nodes: ${nodes} in ${input.length} bytes`);
      countOutcome(this.outcomes, 'rows', nodes);
    },
  }),
};

function countNodes(node: DeviceTreeNode): number {
  readU64List(node, 'cpus');
  readString(node, 'model');
  let nodes = 1;
  for (const child of node.children.values()) nodes += countNodes(child);
  return nodes;
}

export const SMALL_TARGETS: readonly Target[] = [eventFormat, procText, terminal, labTruth, kernelReport, deviceTree];
