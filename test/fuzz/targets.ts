/** What can be fuzzed: to add one is one line. */
import { consoleText } from '../../parsers/console.ts';
import { dmesgJson } from '../../parsers/dmesg-json.ts';
import { ftraceHist } from '../../parsers/ftrace-hist.ts';
import { ftraceText } from '../../parsers/ftrace-text.ts';
import { journalExport } from '../../parsers/journal-export.ts';
import { journalJson } from '../../parsers/journal-json.ts';
import { journalVerbose } from '../../parsers/journal-verbose.ts';
import { kmsg } from '../../parsers/kmsg.ts';
import { syslog } from '../../parsers/syslog.ts';
import { systrace } from '../../parsers/systrace.ts';
import { netconsole } from '../../parsers/netconsole-text.ts';
import { pstore } from '../../parsers/pstore.ts';
import { eventText } from './event-text-target.ts';
import { ftraceWalk } from './ftrace-walk-target.ts';
import { EXPORT_TARGETS } from './export-target.ts';
import { FOLDER_TARGETS } from './folder-target.ts';
import { LIST_TARGETS } from './list-target.ts';
import { OTLP_TARGETS } from './otlp-target.ts';
import { ringBuffer, traceDatFile, traceDatPacked } from './page-target.ts';
import { SMALL_TARGETS } from './small-target.ts';
import type { Target } from './target.ts';
import { textTarget } from './text-target.ts';
import { WIRE_TARGETS } from './wire-target.ts';

export const TARGETS: readonly Target[] = [
  textTarget(kmsg, ['kmsg', '.kmsg']),
  textTarget(consoleText, ['console', '.txt'], ['dmesg', '.txt']),
  textTarget(netconsole, ['netconsole', '.txt']),
  textTarget(pstore, ['pstore', '.pstore']),
  textTarget(syslog, ['syslog', '.log']),
  textTarget(journalExport, ['journal', '.export']),
  textTarget(journalJson, ['journal', '.json']),
  textTarget(journalVerbose, ['journal', '.txt']),
  textTarget(dmesgJson, ['dmesg', '.json']),
  textTarget(ftraceText, ['ftrace', '.txt'], ['ftrace', '.bin']),
  ftraceWalk,
  textTarget(ftraceHist, ['ftrace_hist', '.txt']),
  textTarget(systrace, ['systrace', '.txt'], ['systrace', '.html'], ['systrace', '.bin']),
  ringBuffer,
  traceDatFile,
  traceDatPacked,
  ...SMALL_TARGETS,
  ...WIRE_TARGETS,
  ...OTLP_TARGETS,
  ...EXPORT_TARGETS,
  eventText,
  ...FOLDER_TARGETS,
  ...LIST_TARGETS,
];
