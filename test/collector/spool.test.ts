import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Checkpoint } from '../../collector/checkpoint.ts';
import { Spool, type SpoolHeader } from '../../collector/spool.ts';
import { isOperational } from '../../base/errors.ts';

function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-spool-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const HEADER: Omit<SpoolHeader, 'seq'> = {
  path: '/v1/logs',
  contentType: 'application/x-protobuf',
  encoding: 'identity',
  rows: [{ stream: 'kmsg', cpu: -1, count: 3 }],
  fromUnixNs: '1',
  toUnixNs: '2',
  positions: {},
};

const at = (sequence: number): Omit<SpoolHeader, 'seq'> => ({ ...HEADER, positions: { kmsg: { bootId: 'b', sequence } } });
/** A dead process leaves its lock behind: forget that it was this one. */
const crash = (folder: string): void => writeFileSync(join(folder, 'lock'), '999999999 1');

test('spool: gives records back in order, under the same numbers after a crash', (t) => {
  const folder = tempFolder(t);
  const first = Spool.open(folder, 1 << 20);
  for (let i = 0; i < 5; i++) first.append('logs', at(i), Uint8Array.of(i));
  assert.equal(first.acknowledge('logs', 0), true);
  const stream = first.streamOf('logs');
  crash(folder);

  const second = Spool.open(folder, 1 << 20);
  assert.equal(second.streamOf('logs'), stream);
  // Acknowledged in memory only: sent again under its number, for the receiver to recognise.
  for (let i = 0; i < 5; i++) {
    const record = second.peek('logs');
    assert.equal(record?.header.seq, i);
    assert.deepEqual([...(record?.body ?? [])], [i]);
    second.acknowledge('logs', i);
  }
  assert.equal(second.peek('logs'), undefined);
  assert.equal(second.append('logs', at(5), Uint8Array.of(5)).seq, 5);
});

test('spool: cuts a torn tail and keeps what is whole', (t) => {
  const folder = tempFolder(t);
  const first = Spool.open(folder, 1 << 20);
  first.append('severe', HEADER, Uint8Array.of(1, 2, 3));
  const [file = ''] = readdirSync(join(folder, 'severe'));
  appendFileSync(join(folder, 'severe', file), Buffer.from('MKR1 half a rec'));
  crash(folder);
  const second = Spool.open(folder, 1 << 20);
  assert.equal(second.cutBytes, 15);
  assert.equal(second.pendingRecords('severe'), 1);
  assert.equal(second.append('severe', HEADER, Uint8Array.of(4)).seq, 1);
});

test('spool: at its bound gives up bulk first, severe records last, and says what', (t) => {
  const spool = Spool.open(tempFolder(t), 1 << 20);
  const body = new Uint8Array(30_000);
  for (let i = 0; i < 8; i++) {
    spool.append('severe', HEADER, body);
    spool.append('logs', HEADER, body);
    spool.append('bulk', HEADER, body);
  }
  const lanes: string[] = [];
  for (let i = 0; i < 60; i++) {
    for (const drop of spool.makeRoom(body.length + 1024)) {
      lanes.push(drop.lane);
      assert.ok(drop.headers.every((header) => header.rows[0]?.count === 3));
    }
    spool.append('severe', HEADER, body);
    assert.ok(spool.sizeBytes <= 1 << 20);
  }
  assert.equal(lanes.indexOf('logs') > lanes.lastIndexOf('bulk'), true, lanes.join());
  assert.equal(lanes.indexOf('severe') > lanes.lastIndexOf('logs'), true, lanes.join());
});

test('spool: acknowledged files go, and their positions are in the checkpoint first', (t) => {
  const folder = tempFolder(t);
  const spool = Spool.open(folder, 1 << 20);
  const checkpoint = new Checkpoint(spool, 'b');
  for (let i = 0; i < 20; i++) spool.append('logs', at(i), new Uint8Array(20_000));
  const filesBefore = readdirSync(join(folder, 'logs')).length;
  for (let i = 0; i < 12; i++) {
    const { header } = spool.peek('logs') as NonNullable<ReturnType<Spool['peek']>>;
    checkpoint.settle('logs', header);
    spool.acknowledge('logs', header.seq);
  }
  assert.ok(readdirSync(join(folder, 'logs')).length < filesBefore);
  crash(folder);
  // The timer of the checkpoint never ran: what the files no longer hold must be there nevertheless.
  const reopened = Spool.open(folder, 1 << 20);
  const resumed = new Checkpoint(reopened, 'b').resumePositions(reopened);
  assert.equal(resumed.get('kmsg')?.sequence, 19);
  assert.ok((reopened.peek('logs')?.header.seq ?? 99) <= 12);
  assert.equal(reopened.nextSeq('logs'), 20);
  checkpoint.save();
});

test('spool: numbers go on after everything was acknowledged and the files are gone', (t) => {
  const folder = tempFolder(t);
  const spool = Spool.open(folder, 1 << 20);
  const checkpoint = new Checkpoint(spool, 'b');
  const header = spool.append('logs', at(7), Uint8Array.of(1));
  checkpoint.settle('logs', header);
  spool.acknowledge('logs', header.seq);
  checkpoint.save();
  spool.close();
  const second = Spool.open(folder, 1 << 20);
  const again = new Checkpoint(second, 'b');
  assert.equal(second.append('logs', at(8), Uint8Array.of(2)).seq, 1);
  assert.equal(again.resumePositions(second).get('kmsg')?.sequence, 8);
});

test('checkpoint: the running boot wins over an older one, and damage means starting afresh', (t) => {
  const folder = tempFolder(t);
  const spool = Spool.open(folder, 1 << 20);
  spool.append('logs', { ...HEADER, positions: { kmsg: { bootId: 'new', sequence: 3 } } }, Uint8Array.of(1));
  spool.append('severe', { ...HEADER, positions: { kmsg: { bootId: 'old', sequence: 900 } } }, Uint8Array.of(1));
  assert.deepEqual(new Checkpoint(spool, 'new').resumePositions(spool).get('kmsg'), { bootId: 'new', sequence: 3 });
  writeFileSync(join(folder, 'checkpoint.json'), '{"version":1,"ackn');
  assert.deepEqual([...new Checkpoint(spool, 'x').resumePositions(spool).keys()], ['kmsg']);
});

test('spool: refuses a folder that a running process holds', (t) => {
  const folder = tempFolder(t);
  const spool = Spool.open(folder, 1 << 20);
  // Field 22 of stat is the start time: that of init, which is another process than this one and alive.
  const started = readStartTime(1);
  writeFileSync(join(folder, 'lock'), `1 ${started}`);
  assert.throws(
    () => Spool.open(folder, 1 << 20),
    (error) => isOperational(error) && error.code === 'E_SPOOL' && /process 1/.test(error.message),
  );
  spool.close();
});

function readStartTime(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}
