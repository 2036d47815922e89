/** printk times against the system's own time: the printk clock differs from the trace clock `local` by an offset of each boot. */
import assert from 'node:assert/strict';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { test } from 'node:test';
import { LogBatch } from '../../model/log-batch.ts';
import { findTracefs } from '../../collector/tracefs.ts';
import { isOperational } from '../../base/errors.ts';
import { fromFitFields, toUnixNs } from '../../clock/fit.ts';
import { ClockBracket } from '../../collector/clock-bracket.ts';
import { CollectorClock } from '../../collector/collector-clock.ts';
import { toPrintkNs } from '../../model/time.ts';
import { errnoOf } from '../../base/errors.ts';

/** The stamp of the record that holds `text`, µs of the printk clock; undefined when a flood has overwritten it. */
function readStampUs(fd: number, text: string): number | undefined {
  const record = Buffer.alloc(8192);
  for (const endMs = Date.now() + 5000; Date.now() < endMs;) {
    try {
      const line = record.toString('latin1', 0, readSync(fd, record));
      if (line.includes(text)) return Number(line.split(',')[2]);
    } catch (error) {
      if (errnoOf(error) === 'EPIPE') continue;
      assert.equal(errnoOf(error), 'EAGAIN');
      return undefined;
    }
  }
}

test('collector clock: a printk record lies within its stated bound of the system time at which it was written', (t) => {
  let tracefs: string;
  let fd: number;
  try {
    tracefs = findTracefs();
    fd = openSync('/dev/kmsg', constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    t.skip(`needs tracefs and /dev/kmsg: ${String(error)}`);
    return;
  }
  const clock = new CollectorClock();
  try {
    clock.start(tracefs);
    if (!clock.hasTracer) {
      t.skip('the tracer cannot be used here');
      return;
    }
    const text = `mkscope-clock-${process.pid}-${Date.now()}`;
    const beforeMs = Date.now();
    // Without its line end a record waits for the next one before a reader sees it.
    writeSync(fd, `${text}\n`);
    const afterMs = Date.now();
    const batch = new LogBatch();
    const row = batch.addText(text, 6);
    const stampUs = readStampUs(fd, text);
    if (stampUs === undefined) {
      t.skip('the record was overwritten or rate-limited before it could be read');
      return;
    }
    batch.rawTime.setNumber(row, stampUs * 1000);
    const errorNs = clock.alignLogs(batch);
    const alignedNs = batch.unixTime.getBigint(row);
    assert.ok(errorNs < 5e6, `the bound is ±${errorNs} ns`);
    // A stamp of µs is cut, and Date.now() names a whole millisecond.
    assert.ok(
      alignedNs >= BigInt(beforeMs) * 1_000_000n - BigInt(errorNs) - 1000n,
      `${alignedNs} is before ${beforeMs} ms by more than ${errorNs} ns`,
    );
    assert.ok(
      alignedNs <= BigInt(afterMs + 1) * 1_000_000n + BigInt(errorNs),
      `${alignedNs} is after ${afterMs} ms by more than ${errorNs} ns`,
    );
  } finally {
    clock.stop();
    closeSync(fd);
  }
});

test('collector clock: the counter of the hardware is aligned through the tracer, and printk with it', (t) => {
  const clock = new CollectorClock('x86-tsc');
  let bracket: ClockBracket | undefined;
  try {
    clock.start(findTracefs());
    if (!clock.hasTracer) return t.skip('the tracer cannot be used here');
    bracket = new ClockBracket(findTracefs(), 'x86-tsc', 'probe');
    const sample = bracket.sample();
    if (sample === undefined) return t.skip('no bracket came back whole');
    const fit = fromFitFields(clock.traceFit());
    const aligned = toUnixNs(fit, sample.raw);
    const { low, high } = clock.unixOffset(sample.monoHighNs);
    t.diagnostic(`${(1000 / fit.nsPerTick).toFixed(3)} MHz, ± ${fit.errorNs} ns`);
    assert.ok(fit.errorNs < 5e6 && fit.nsPerTick > 0.1 && fit.nsPerTick < 5);
    assert.ok(aligned >= sample.monoLowNs + low - BigInt(fit.errorNs), `${aligned} ± ${fit.errorNs}`);
    assert.ok(aligned <= sample.monoHighNs + high + BigInt(fit.errorNs), `${aligned} ± ${fit.errorNs}`);
    // printk by the link is where it is by itself.
    const link = clock.traceLinks().links?.find((one) => one.clock === 'printk');
    assert.ok(link !== undefined);
    const printk = fromFitFields(link.fit);
    const through = toUnixNs(fit, toUnixNs(printk, printk.baseRaw));
    const direct = clock.toUnixNs(toPrintkNs(printk.baseRaw));
    const boundNs = 2 * (fit.errorNs + printk.errorNs * fit.nsPerTick);
    assert.ok(Math.abs(Number(through - direct)) <= boundNs, `${through - direct} ns, ± ${boundNs}`);
  } catch (error) {
    if (!isOperational(error)) throw error;
    t.skip(`needs tracefs: ${error.message}`);
  } finally {
    bracket?.close();
    clock.stop();
  }
});
