import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeUtf8 } from '../../base/bytes.ts';
import { LOG_FLAG, LogBatch } from '../../model/log-batch.ts';
import type { ParserSession } from '../../model/parser.ts';
import { openKmsg } from '../../parsers/kmsg.ts';

function parse(text: string): { batch: LogBatch; session: ParserSession<LogBatch> } {
  const session = openKmsg();
  const batch = new LogBatch();
  const bytes = encodeUtf8(text);
  assert.equal(session.finish(bytes, batch), bytes.length);
  assert.equal(session.counts.parsedBytes + session.counts.malformedBytes, bytes.length);
  return { batch, session };
}

test('kmsg: splits priority into facility and level and marks user space', () => {
  const { batch } = parse('6,1,1000,-;kernel\n30,2,1001,-;daemon\n191,3,1002,-;local7.debug\n');
  assert.deepEqual([...batch.level.subarray(0, 3)], [6, 6, 7]);
  assert.deepEqual([...batch.facility.subarray(0, 3)], [0, 3, 23]);
  assert.deepEqual([...batch.flags.subarray(0, 3)], [0, LOG_FLAG.userSpace, LOG_FLAG.userSpace]);
});

test('kmsg: reads the caller and skips unknown fields up to the semicolon', () => {
  const { batch } = parse(
    '6,1,10,-,caller=T4242;a\n6,2,11,-,caller=C3;b\n6,3,12,-,new=x,caller=T7,other;c\n6,4,13,-,new;caller=T9;d\n6,5,14,c;e\n6,6,15,+;f\n',
  );
  assert.deepEqual([...batch.pid.subarray(0, 4)], [4242, -1, 7, -1]);
  assert.deepEqual([...batch.cpu.subarray(0, 4)], [-1, 3, -1, -1]);
  assert.equal(batch.textOf(3), 'caller=T9;d');
  assert.deepEqual([...batch.flags.subarray(3, 6)], [0, LOG_FLAG.continuation, LOG_FLAG.continuation]);
});

test('kmsg: keeps dictionary lines as attributes, not as text', () => {
  const { batch } = parse('4,7,99,-;usb 1-1: new device\n SUBSYSTEM=usb\n DEVICE=c189:1\n NOTE=a\\x3db\\x0a\n no value\n6,8,100,-;next\n');
  assert.equal(batch.textOf(0), 'usb 1-1: new device');
  assert.deepEqual(batch.attributes.rowOf(0), { SUBSYSTEM: 'usb', DEVICE: 'c189:1', NOTE: 'a=b\n' });
  assert.deepEqual(batch.attributes.rowOf(1), {});
});

test('kmsg: decodes escapes as bytes, and leaves what is no escape', () => {
  const { batch } = parse('6,1,1,-;\\xe2\\x86\\x92 \\x5cx41 \\x4 \\xzz \\\n6,2,2,-;\\x0a\\x0A\n');
  assert.equal(batch.textOf(0), '→ \\x41 \\x4 \\xzz \\');
  assert.equal(batch.textOf(1), '\n\n');
});

test('kmsg: time is exact to the microsecond beyond 2^53 ns', () => {
  const { batch } = parse('6,1,123456789,-;a\n6,2,9007199254740000,-;b\n6,3,18000000000001,-;208 days\n');
  assert.equal(batch.rawTime.getBigint(0), 123456789_000n);
  assert.equal(batch.rawTime.getBigint(1), 9007199254740000_000n);
  assert.equal(batch.rawTime.getBigint(2), 18000000000001_000n);
});

test('kmsg: a sequence jump is a loss with its window; a lower number is another boot', () => {
  const { session } = parse('6,5,1000,-;a\n6,6,2000,-;b\n6,10,9000,-;c\n6,0,0,-;Linux version 6\n6,2,5,-;d\n');
  assert.equal(session.counts.lost, 4);
  assert.deepEqual(session.takeLosses(), [
    { cpu: -1, count: 3, fromRaw: 2_000_000n, toRaw: 9_000_000n, reason: 'kmsg_sequence' },
    { cpu: -1, count: 1, fromRaw: 0n, toRaw: 5_000n, reason: 'kmsg_sequence' },
  ]);
  assert.deepEqual(session.takeLosses(), []);
});

test('kmsg: marks the boot and the time before the clock is stable', () => {
  const { batch } = parse(
    '5,0,0,-;Linux version 7.0.0\n6,1,45055,-;same\n14,2,45055,-;Linux version from user space\n6,3,46000,-;sched_clock: Marking stable (1, 2)->(3, 4)\n6,4,46001,-;after\n',
  );
  const early = LOG_FLAG.timeUncertain;
  assert.deepEqual([...batch.flags.subarray(0, 5)], [LOG_FLAG.bootMark | early, early, LOG_FLAG.userSpace, early, 0]);
});

test('kmsg: without the line about its clock a kernel is trusted once it runs user space, or after a minute', () => {
  for (const end of ['6,2,5,-;Run /init as init process\n', '6,2,5,-;Freeing unused kernel image (initmem) memory: 2048K\n', '']) {
    const { batch } = parse(`5,0,0,-;Linux version 7\n6,1,4,-;early\n${end}6,3,61000000,-;late\n`);
    assert.equal(batch.flags[1], LOG_FLAG.timeUncertain);
    assert.equal(batch.flags[batch.length - 1], 0);
  }
});

test('kmsg: finish may be called for each read of a live source', () => {
  const session = openKmsg();
  const batch = new LogBatch();
  for (const read of ['6,1,1,-;a\n SUBSYSTEM=x\n', '6,2,2,-;b\n', '6,4,3,-;c\n']) session.finish(encodeUtf8(read), batch);
  assert.equal(batch.length, 3);
  assert.deepEqual(batch.attributes.rowOf(0), { SUBSYSTEM: 'x' });
  assert.equal(session.counts.lost, 1);
});

test('kmsg: what is no record is counted with a reason and a sample', () => {
  const { batch, session } = parse('garbage\n KEY=orphan\n6,1\n6,1,1,-no semicolon\n99999999,1,1,-;x\n6,,1,-;x\n6,2,2,-;good\n');
  assert.equal(batch.length, 1);
  assert.deepEqual(Object.fromEntries(session.counts.malformed), { 'no kmsg header': 5, 'dictionary line without a record': 1 });
  assert.equal(new TextDecoder().decode(session.counts.samples[0]?.bytes), 'garbage\n');
});

test('kmsg: a record without an end is cut at its bound, not kept for ever', () => {
  const session = openKmsg();
  const batch = new LogBatch();
  const flood = new Uint8Array(1 << 20).fill(0x61);
  flood.set(encodeUtf8('6,1,1,-;'));
  const used = session.parse(flood, batch);
  assert.ok(flood.length - used <= 64 << 10, `keeps ${flood.length - used} bytes`);
  assert.equal(batch.length, 0);
  const dictionary = encodeUtf8(`6,1,1,-;a\n${' K=v\n'.repeat(40_000)}`);
  session.finish(dictionary, batch);
  assert.ok(batch.attributes.pairs <= (64 << 10) / 5 + 1, `${batch.attributes.pairs} attributes`);
});

test('kmsg: a first record has no loss in front of it', () => {
  const { session } = parse('6,500,1000,-;a\n');
  assert.equal(session.counts.lost, 0);
  assert.equal(session.takeLosses().length, 0);
});
