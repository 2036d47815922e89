/**
 * A feed that keeps recorded pages, in a process of its own that can be killed: `fork('recording-feed.ts', [URL, FOLDER, START])`. It
 * takes `{segments: [from, to]}` (each ten seconds of the clock later than the one before) and `{books: segments so far}`, and
 * answers `done`, or with where its stream resumes when it starts.
 */
import { join } from 'node:path';
import { FormatStore } from '../../collector/format-store.ts';
import type { KernelClock } from '../../collector/kernel-clock.ts';
import { KernelFeed } from '../../collector/kernel-feed.ts';
import { openLinks } from '../../collector/links.ts';
import { countEvents, readPageLayout } from '../../collector/page-count.ts';
import { Peer } from '../../collector/peer.ts';
import { openTelemetry } from '../../collector/telemetry.ts';
import { createMatcher } from '../../correlate/match-messages.ts';
import { hashFormatSet, type Segment } from '../../model/segment.ts';
import type { UnixNs } from '../../model/time.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { HOST } from './running-hub.ts';

const SECOND = 1_000_000_000n;
export const STREAM = 'tracefs:mkscope-1';
/** Where in its ten seconds a segment's first page begins, and when it is cut. */
const FIRST_NS = 3n * SECOND;
const CUT_NS = 7n * SECOND;

const { set, segment: recorded } = readRingFixture();
const pageBytes = recorded.header.pageSizeBytes;

/** Events by CPU of one segment, as a collector counts them. */
export const SEGMENT_EVENTS = countByCpu(recorded);

function countByCpu({ header, pages }: Segment): { cpu: number; count: number }[] {
  const view = new DataView(pages.buffer, pages.byteOffset, pages.length);
  const layout = readPageLayout(set.headerPage);
  const counts = new Map<number, number>();
  let at = 0;
  for (const chunk of header.chunks) {
    for (let page = 0; page < chunk.pages; page++, at += pageBytes) {
      counts.set(chunk.cpu, (counts.get(chunk.cpu) ?? 0) + countEvents(view, at, pageBytes, layout, true));
    }
  }
  return [...counts].map(([cpu, count]) => ({ cpu, count }));
}

/** The recorded pages as if they had been written ten seconds after those of the segment before. */
function segmentAt(index: number, startNs: bigint): Segment {
  const pages = recorded.pages.slice();
  const view = new DataView(pages.buffer, pages.byteOffset);
  const fit = { baseRaw: String(view.getBigUint64(0, true)), baseUnixNs: String(startNs + FIRST_NS), nsPerTick: 1, errorNs: 1000 };
  for (let at = 0; at < pages.length; at += pageBytes) {
    view.setBigUint64(at, view.getBigUint64(at, true) + BigInt(index * 10) * SECOND, true);
  }
  return { header: { ...recorded.header, identity: HOST, stream: STREAM, sequence: index, clock: 'mono', fit, comms: {} }, pages };
}

interface Command {
  readonly segments?: readonly [from: number, to: number];
  readonly books?: number;
}

async function run(endpoint: string, folder: string, startNs: bigint): Promise<void> {
  const links = openLinks({ endpoint });
  const formats = new FormatStore(folder);
  const peer = new Peer(links.exchange, formats);
  let nowNs = startNs;
  const clock = { nowUnixNs: () => nowNs as UnixNs, addMetrics: () => undefined } as unknown as KernelClock;
  const shared = { links, peer, formats, messages: createMatcher(), recorderBytes: 16 << 20, version: 'test' };
  const feed = new KernelFeed(join(folder, 'spool'), 16 << 20, shared);
  const position = feed.resumePositions(HOST).get(STREAM)?.sequence ?? -1;
  feed.startSender(await openTelemetry({ endpoint: undefined, version: 'test', identity: HOST }));
  feed.begin(HOST, clock);
  await peer.meet();
  await feed.write({ kind: 'formats', hash: hashFormatSet(set), set });
  process.on('message', ({ segments: [from, to] = [0, 0], books }: Command) => {
    void (async () => {
      for (let index = from; index < to; index++) {
        nowNs = startNs + BigInt(index * 10) * SECOND + CUT_NS;
        const place = { bootId: HOST.bootId, sequence: index };
        await feed.write({ kind: 'segment', segment: segmentAt(index, startNs), events: SEGMENT_EVENTS, position: place });
      }
      nowNs = BigInt(Date.now()) * 1_000_000n;
      const counts = SEGMENT_EVENTS.map(({ cpu, count }) => {
        const all = count * (books ?? 0);
        return { stream: STREAM, cpu, written: all, read: all, lost: 0, sinceUnixNs: startNs };
      });
      if (books !== undefined) feed.writeBooks(counts);
      process.send?.('done');
    })();
  });
  process.send?.(`resumes behind ${position}`);
}

const [endpoint, folder, startNs] = process.argv.slice(2);
if (process.send !== undefined && endpoint !== undefined && folder !== undefined && startNs !== undefined) {
  await run(endpoint, folder, BigInt(startNs));
}
