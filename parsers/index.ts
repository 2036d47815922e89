/** The table of file formats: to add one, write `parsers/<id>.ts`, a fixture, and one line here. */
import type { FileParser } from '../model/parser.ts';
import { consoleText } from './console.ts';
import { dmesgJson } from './dmesg-json.ts';
import { ftraceHist } from './ftrace-hist.ts';
import { ftraceText } from './ftrace-text.ts';
import { journalExport } from './journal-export.ts';
import { journalJson } from './journal-json.ts';
import { journalVerbose } from './journal-verbose.ts';
import { kmsg } from './kmsg.ts';
import { netconsole } from './netconsole-text.ts';
import { pstore } from './pstore.ts';
import { syslog } from './syslog.ts';
import { systrace } from './systrace.ts';
import { traceDat } from './trace-dat.ts';

export const FILE_PARSERS: readonly FileParser[] = [
  kmsg,
  dmesgJson,
  ftraceText,
  ftraceHist,
  systrace,
  consoleText,
  syslog,
  journalExport,
  journalJson,
  journalVerbose,
  netconsole,
  pstore,
  traceDat,
];

export function findParser(id: string): FileParser | undefined {
  return FILE_PARSERS.find((parser) => parser.id === id);
}

/** The formats that take these first bytes of a file: one, or nobody can tell. */
export function sniffParsers(head: Uint8Array): readonly FileParser[] {
  return FILE_PARSERS.filter((parser) => parser.sniff(head));
}
