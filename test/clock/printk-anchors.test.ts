import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toUnixNs } from '../../clock/fit.ts';
import {
  ANCHOR_PATTERNS,
  fitFromAnchors,
  fitFromKvmAnchors,
  matchAnchor,
  PrintkAnchorScan,
  readKvmClockAnchor,
  readPrintkAnchors,
} from '../../clock/printk-anchors.ts';
import { LogBatch } from '../../model/log-batch.ts';

const UNIX = 1_700_000_000_000_000_000n;
const SECOND = 1_000_000_000n;

/** `[    1.373349] text` lines → a batch, as the console parser leaves it. */
function batchOf(lines: readonly string[]): LogBatch {
  const batch = new LogBatch();
  for (const line of lines) {
    const match = /^\[\s*(\d+)\.(\d{6})\] (.*)$/.exec(line);
    const row = batch.addText(match?.[3] ?? line, 6);
    if (match !== null) batch.rawTime.setBigint(row, BigInt(match[1] as string) * SECOND + BigInt(match[2] as string) * 1000n);
  }
  return batch;
}

test('printk anchors: each pattern reads its samples and no other pattern does', () => {
  for (const pattern of ANCHOR_PATTERNS) {
    assert.ok(pattern.samples.length > 0, pattern.id);
    for (const { line, unixNs } of pattern.samples) {
      assert.deepEqual(matchAnchor(line), { unixNs, widthNs: pattern.widthNs }, line);
      assert.deepEqual(
        ANCHOR_PATTERNS.filter((other) => other.pattern.test(line)).map((other) => other.id),
        [pattern.id],
      );
    }
  }
  for (const line of [
    'audit: backlog limit exceeded',
    'systemd: said audit: type=1400 audit(1700000021.007:33):',
    'audit: type=1 audit(99999999999999999999.000:1):',
    'rtc_cmos 00:00: registered as rtc0',
  ]) {
    assert.equal(matchAnchor(line), undefined, line);
  }
});

test('printk anchors: stamps before the clock is stable are widened by what it was off', () => {
  const anchors = readPrintkAnchors(
    batchOf([
      '[    0.500000] audit: type=2000 audit(1700000000.500:1): state=initialized audit_enabled=0 res=1',
      '[    1.000000] sched_clock: Marking stable (900000000, 100000000)->(1040000000, -40000000)',
      'audit: type=1400 audit(1700000009.000:2): a line without a stamp',
      '[    9.000000] audit: type=1400 audit(1700000009.004:3): apparmor="STATUS"',
    ]),
  );
  assert.equal(anchors.stableRaw, SECOND);
  assert.equal(anchors.unstableNs, 140_000_000n);
  assert.deepEqual(anchors.samples, [
    { raw: SECOND / 2n, unixLow: UNIX + 360_000_000n, unixHigh: UNIX + 690_000_000n },
    { raw: 9n * SECOND, unixLow: UNIX + 9_004_000_000n, unixHigh: UNIX + 9_054_000_000n },
  ]);
  assert.equal(anchors.kvm, undefined);
});

test('printk anchors: a log fits with its late lines left out', () => {
  const audit = (at: number, delayMs: number): string => {
    const seconds = Math.floor(at);
    return `[${String(at + delayMs / 1000).padStart(4)}00000] audit: type=1400 audit(17000000${String(seconds).padStart(2, '0')}.000:5): x`.replace(
      /\[\s*(\d+)\.(\d+)\]/,
      (_, whole: string, part: string) => `[${whole}.${part.padEnd(6, '0').slice(0, 6)}]`,
    );
  };
  const { samples } = readPrintkAnchors(batchOf([audit(10, 1.5), audit(20, 900.5), audit(30, 2.5), audit(40, 4.5)]));
  assert.equal(samples.length, 4);
  const fit = fitFromAnchors(samples);
  assert.ok(fit !== undefined);
  const off = Number(toUnixNs(fit, 30n * SECOND) - (UNIX + 30n * SECOND));
  assert.ok(Math.abs(off) <= fit.errorNs, `${off} ns off, bound ${fit.errorNs}`);
  assert.ok(fit.errorNs < 60_000_000, `${fit.errorNs}`);
  assert.equal(fitFromAnchors([]), undefined);
});

test('printk anchors: a flood of contradicting lines still ends in a fit', () => {
  const samples = Array.from({ length: 20_000 }, (_, i) => {
    const unix = UNIX + BigInt((i * 7919) % 20_000) * SECOND;
    return { raw: BigInt(i) * 1000n, unixLow: unix, unixHigh: unix + 1_000_000n };
  });
  const start = performance.now();
  assert.ok(fitFromAnchors(samples) !== undefined);
  assert.ok(performance.now() - start < 10_000);
});

const HOST = [
  '[    0.000001] kvm-clock: using sched offset of 5000000000 cycles',
  '[    1.200000] sched_clock: Marking stable (1100000000, 90000000)->(1210000000, -20000000)',
  '[    4.000000] audit: type=1400 audit(1700000004.000:7): x',
];
const CHILD = [
  '[    0.000001] kvm-clock: using sched offset of 65000000500 cycles',
  '[    0.110000] sched_clock: Marking stable (109000000, 200000)->(230000000, -120000000)',
];

test('printk anchors: guests of one hypervisor are aligned without a wall clock of their own', () => {
  const [host, child] = [readPrintkAnchors(batchOf(HOST)), readPrintkAnchors(batchOf(CHILD))];
  assert.deepEqual(host.kvm, { schedOffsetNs: 5n * SECOND, stableShiftNs: -20_000_000n });
  assert.deepEqual(child.kvm, { schedOffsetNs: 65n * SECOND + 500n, stableShiftNs: -120_000_000n });
  assert.deepEqual(readKvmClockAnchor(batchOf(CHILD)), child.kvm);
  const hostFit = fitFromAnchors(host.samples);
  assert.ok(hostFit !== undefined && host.kvm !== undefined && child.kvm !== undefined);
  const childFit = fitFromKvmAnchors(child.kvm, host.kvm, hostFit);
  // host = child + (65.0000005 + 0.12) - (5 + 0.02)
  const shift = 60n * SECOND + 100_000_500n;
  assert.equal(toUnixNs(childFit, 152_845_000n), toUnixNs(hostFit, 152_845_000n + shift));
  assert.ok(childFit.errorNs > hostFit.errorNs);
});

test('printk anchors: each boot of one file has its own', () => {
  const batch = batchOf([...HOST, ...CHILD]);
  assert.equal(readKvmClockAnchor(batch, { from: 0, to: HOST.length })?.schedOffsetNs, 5n * SECOND);
  assert.equal(readKvmClockAnchor(batch, { from: HOST.length, to: batch.length })?.schedOffsetNs, 65n * SECOND + 500n);
  assert.equal(readKvmClockAnchor(batch, { from: 1, to: HOST.length }), undefined);
});

test('printk anchors: lines of one boot belong together wherever its batches were cut', () => {
  const lines = [
    '[    0.000001] kvm-clock: using sched offset of 5000000000 cycles',
    '[    0.500000] audit: type=2000 audit(1700000000.500:1): state=initialized audit_enabled=0 res=1',
    '[    1.000000] sched_clock: Marking stable (900000000, 100000000)->(1040000000, -40000000)',
    '[    9.000000] audit: type=1400 audit(1700000009.004:3): apparmor="STATUS"',
  ];
  const whole = readPrintkAnchors(batchOf(lines));
  for (let cut = 0; cut <= lines.length; cut++) {
    const scan = new PrintkAnchorScan();
    scan.add(batchOf(lines.slice(0, cut)));
    scan.add(batchOf(lines.slice(cut)));
    assert.deepEqual(scan.anchors(), whole, `cut at ${cut}`);
  }
});

test('printk anchors: a log full of audit lines keeps a bounded number, the least delayed', () => {
  const scan = new PrintkAnchorScan();
  for (let i = 0; i < 20; i++) {
    const lines = Array.from({ length: 1000 }, (_, line) => {
      const ms = (i * 1000 + line) * 10;
      const unix = `${1_700_000_000 + Math.floor(ms / 1000)}.${String(ms % 1000).padStart(3, '0')}`;
      const printed = ms + (line % 5 === 0 ? 1 : 40);
      return `[${String(Math.floor(printed / 1000)).padStart(5)}.${String(printed % 1000).padStart(3, '0')}000] audit: type=1400 audit(${unix}:7): x`;
    });
    scan.add(batchOf(lines));
  }
  const { samples } = scan.anchors();
  assert.ok(samples.length > 1000 && samples.length <= 4096, `${samples.length}`);
  const prompt = samples.filter((sample) => sample.unixLow - UNIX - sample.raw === -1_000_000n);
  assert.ok(prompt.length > samples.length * 0.35, `${prompt.length} of ${samples.length}`);
  assert.ok(fitFromAnchors(samples) !== undefined);
});
