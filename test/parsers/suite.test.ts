import assert from 'node:assert/strict';
import { test } from 'node:test';
import { consoleText } from '../../parsers/console.ts';
import { dmesgJson } from '../../parsers/dmesg-json.ts';
import { ftraceHist } from '../../parsers/ftrace-hist.ts';
import { ftraceText } from '../../parsers/ftrace-text.ts';
import { FILE_PARSERS, findParser, sniffParsers } from '../../parsers/index.ts';
import { journalExport } from '../../parsers/journal-export.ts';
import { journalJson } from '../../parsers/journal-json.ts';
import { journalVerbose } from '../../parsers/journal-verbose.ts';
import { kmsg } from '../../parsers/kmsg.ts';
import { netconsole } from '../../parsers/netconsole-text.ts';
import { pstore } from '../../parsers/pstore.ts';
import { syslog } from '../../parsers/syslog.ts';
import { systrace } from '../../parsers/systrace.ts';
import { traceDat } from '../../parsers/trace-dat.ts';
import { testEventFileParser } from '../support/event-file-suite.ts';
import { loadFixtures, testParser } from '../support/parser-suite.ts';

testParser(kmsg, loadFixtures('kmsg', '.kmsg'));
testParser(consoleText, [...loadFixtures('console', '.txt'), ...loadFixtures('dmesg', '.txt')]);
testParser(dmesgJson, loadFixtures('dmesg', '.json'));
testParser(syslog, loadFixtures('syslog', '.log'));
testParser(journalExport, loadFixtures('journal', '.export'));
testParser(journalJson, loadFixtures('journal', '.json'));
testParser(journalVerbose, loadFixtures('journal', '.txt'));
testParser(ftraceText, [...loadFixtures('ftrace', '.txt'), ...loadFixtures('ftrace', '.bin')]);
testParser(ftraceHist, loadFixtures('ftrace_hist', '.txt'));
testParser(systrace, [...loadFixtures('systrace', '.txt'), ...loadFixtures('systrace', '.html'), ...loadFixtures('systrace', '.bin')]);
testParser(netconsole, loadFixtures('netconsole', '.txt'));
testParser(pstore, loadFixtures('pstore', '.pstore'));
testEventFileParser(traceDat, loadFixtures('trace_dat', '.dat'));

test('parsers: the table names each format once and finds it', () => {
  assert.equal(new Set(FILE_PARSERS.map(({ id }) => id)).size, FILE_PARSERS.length);
  for (const parser of FILE_PARSERS) assert.equal(findParser(parser.id), parser);
  assert.equal(findParser('no such format'), undefined);
});

const idsOf = (text: string): string[] => sniffParsers(new TextEncoder().encode(text)).map(({ id }) => id);
const HEADER = '# tracer: nop\n#\n#           TASK-PID     CPU#  ||||   TIMESTAMP  FUNCTION\n';
const EVENT = '          <idle>-0       [003] d..2    16.186120: sched_wakeup: comm=cat pid=135 prio=120 target_cpu=003\n';
const DUMPED = '[   10.000300]     bash-123       0d..1 9999123us : sched_switch: prev_comm=bash prev_pid=123 prev_prio=120\n';
const LINE = '[   10.000100] Kernel panic - not syncing: sysrq triggered crash\n';

test('parsers: a trace with lines of the log is a trace, a log with a dumped trace is a log', () => {
  const cases = {
    ftrace_text: [
      EVENT,
      EVENT.replace('<idle>-0  ', '<...>-812'),
      EVENT + LINE + EVENT,
      `$ cat trace\n${HEADER}${LINE}${EVENT}`,
      HEADER + LINE,
      LINE + EVENT.repeat(3),
      `${LINE.repeat(2)}${HEADER}${EVENT.repeat(9)}`,
    ],
    console: [
      LINE + DUMPED.repeat(5) + LINE,
      DUMPED,
      LINE.repeat(5) + EVENT,
      `<4>${DUMPED}<4>${DUMPED}`,
      LINE.repeat(40) + HEADER + EVENT.repeat(90),
    ],
  };
  for (const [id, texts] of Object.entries(cases)) {
    for (const text of texts) assert.deepEqual(idsOf(text), [id], text);
  }
});

test('parsers: text that no format owns is refused', () => {
  for (const text of ['', '\n\n', 'hello world\n', '{"a": 1}\n', 'time,level\n1,2\n', '# a comment\nkey: value\n']) {
    assert.deepEqual(idsOf(text), [], text);
  }
});
