/** What the tests on the live kernel share: when to skip, a sink that keeps what it gets, and a clock. */
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { CollectorClock } from '../../collector/collector-clock.ts';
import { findTracefs } from '../../collector/tracefs.ts';
import { messageOf } from '../../base/errors.ts';
import type { Sink, SourceRecord } from '../../model/pipeline.ts';

/** Why the kernel log cannot be used here; undefined where it can. */
export function whyNoKmsg(): string | undefined {
  try {
    accessSync('/dev/kmsg', constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    return `needs /dev/kmsg: ${messageOf(error)}`;
  }
}

export function whyNoTracefs(): string | undefined {
  try {
    findTracefs();
    return undefined;
  } catch (error) {
    return `needs tracefs: ${messageOf(error)}`;
  }
}

/** Keeps records, as a sink that is as fast as the disk; `hold` makes it one that does not take anything for a while. */
export class KeepingSink implements Sink {
  readonly records: SourceRecord[] = [];
  hold: Promise<void> | undefined;

  async write(record: SourceRecord): Promise<boolean> {
    // Segments are views: what is kept must be copied, as the pipeline does by writing it to disk.
    this.records.push(
      record.kind === 'segment' ? { ...record, segment: { ...record.segment, pages: record.segment.pages.slice() } } : record,
    );
    await this.hold;
    return true;
  }

  of<Kind extends SourceRecord['kind']>(kind: Kind): Extract<SourceRecord, { kind: Kind }>[] {
    return this.records.filter((record): record is Extract<SourceRecord, { kind: Kind }> => record.kind === kind);
  }

  texts(): string[] {
    return this.of('logs').flatMap(({ batch }) => Array.from({ length: batch.length }, (_, row) => batch.textOf(row)));
  }
}

/** A clock without the tracer: nothing to clean up in the kernel. */
export function openClock(t: TestContext): CollectorClock {
  const clock = new CollectorClock();
  clock.start(undefined);
  t.after(() => clock.stop());
  return clock;
}

export function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
