import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeSegment, splitSegment, toFormatSet, toSegmentHeader } from '../../model/segment.ts';
import { readRingFixture } from '../support/ring-fixture.ts';

const { segment, set } = readRingFixture();

test('segment: survives its trip over the wire', () => {
  const split = splitSegment(encodeSegment(segment));
  assert.ok(typeof split !== 'string');
  assert.deepEqual(toSegmentHeader(split.header), segment.header);
  assert.deepEqual(split.pages, segment.pages);
});

test('segment: is refused when cut, foreign, or with a length that lies', () => {
  const bytes = encodeSegment(segment);
  const headerBytes = new DataView(bytes.buffer).getUint32(8, true);
  for (let cut = 0; cut < 12 + headerBytes; cut += 7) assert.equal(typeof splitSegment(bytes.subarray(0, cut)), 'string', `cut at ${cut}`);
  assert.match(String(splitSegment(new Uint8Array(64))), /does not start/);
  const lying = bytes.slice();
  new DataView(lying.buffer).setUint32(8, 0xffff_ffff, true);
  assert.match(String(splitSegment(lying)), /does not fit/);
  const broken = bytes.slice();
  broken[12] = 0x5d;
  assert.match(String(splitSegment(broken)), /not JSON/);
});

test('segment header: names the member that is wrong', () => {
  const { header } = segment;
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [undefined, /not an object/],
    [null, /not an object/],
    [[], /not an object/],
    [{ ...header, identity: undefined }, /identity is missing/],
    [{ ...header, identity: { ...header.identity, kernelId: -1 } }, /kernelId/],
    [{ ...header, identity: { ...header.identity, kernelId: '0' } }, /kernelId/],
    [{ ...header, identity: { ...header.identity, bootId: '' } }, /bootId/],
    [{ ...header, identity: { ...header.identity, release: 7 } }, /lacks a name/],
    [{ ...header, stream: 'x'.repeat(2000) }, /stream/],
    [{ ...header, sequence: 1.5 }, /sequence/],
    [{ ...header, clock: 'sundial' }, /clock/],
    [{ ...header, fit: undefined }, /fit is missing/],
    [{ ...header, fit: { ...header.fit, baseRaw: '0x10' } }, /64-bit integer/],
    [{ ...header, fit: { ...header.fit, baseUnixNs: '9'.repeat(19) } }, /64-bit integer/],
    [{ ...header, fit: { ...header.fit, nsPerTick: 0 } }, /nsPerTick/],
    [{ ...header, fit: { ...header.fit, nsPerTick: Number.NaN } }, /nsPerTick/],
    [{ ...header, fit: { ...header.fit, errorNs: -1 } }, /errorNs/],
    [{ ...header, pageSizeBytes: 0 }, /pageSizeBytes/],
    [{ ...header, pageSizeBytes: 1e12 }, /pageSizeBytes/],
    [{ ...header, formatSet: '' }, /formatSet/],
    [{ ...header, chunks: [{ cpu: 70_000, pages: 1 }] }, /chunks/],
    [{ ...header, chunks: [{ cpu: 0, pages: -1 }] }, /chunks/],
    [{ ...header, chunks: {} }, /chunks/],
    [{ ...header, comms: { abc: 'x' } }, /comms/],
    [{ ...header, comms: { 1: 2 } }, /comms/],
  ];
  for (const [value, expected] of cases) assert.match(String(toSegmentHeader(value)), expected);
  assert.deepEqual(toSegmentHeader({ ...header, later: 'ignored' }), header);
});

test('format set: is checked before it is kept', () => {
  assert.deepEqual(toFormatSet(JSON.parse(JSON.stringify(set))), set);
  assert.match(String(toFormatSet('x')), /not an object/);
  assert.match(String(toFormatSet({ ...set, endian: 'middle' })), /endian/);
  assert.match(String(toFormatSet({ ...set, events: [{ system: 'a' }] })), /events/);
  assert.match(String(toFormatSet({ ...set, headerPage: 3 })), /headerPage/);
  assert.match(String(toFormatSet({ ...set, printkFormats: undefined })), /printkFormats/);
});
