/** What can be fuzzed: to add one is one line. */
import { consoleText } from '../../parsers/console.ts';
import { dmesgJson } from '../../parsers/dmesg-json.ts';
import { ftraceHist } from '../../parsers/ftrace-hist.ts';
import { ftraceText } from '../../parsers/ftrace-text.ts';
import { kmsg } from '../../parsers/kmsg.ts';
import { systrace } from '../../parsers/systrace.ts';
import { netconsole } from '../../parsers/netconsole-text.ts';
import { pstore } from '../../parsers/pstore.ts';
import { EXPORT_TARGETS } from './export-target.ts';
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
  textTarget(dmesgJson, ['dmesg', '.json']),
  textTarget(ftraceText, ['ftrace', '.txt'], ['ftrace', '.bin']),
  textTarget(ftraceHist, ['ftrace_hist', '.txt']),
  textTarget(systrace, ['systrace', '.txt'], ['systrace', '.html'], ['systrace', '.bin']),
  ringBuffer,
  traceDatFile,
  traceDatPacked,
  ...SMALL_TARGETS,
  ...WIRE_TARGETS,
  ...OTLP_TARGETS,
  ...EXPORT_TARGETS,
];
