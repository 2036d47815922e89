/** Text of a recording on standard output, and what is wrong with it on standard error. */
import { fstatSync, write } from 'node:fs';
import { messageOf, OperationalError } from '../base/errors.ts';
import { createPaint, escapeControls, print, printAll } from './terminal.ts';

/** Written at a time where a report is made in one go. */
export const CHUNK_BYTES = 256 << 10;
const STDOUT = 1;
const MAX_FORMAT_PROBLEMS = 8;
const MAX_PROBLEM_CHARS = 200;

/** What is wrong, and how often. */
export type Problem = readonly [string, number];

/** Writes all of it; its memory may be filled again then. */
export function show(bytes: Uint8Array): Promise<void> {
  if (process.stdout.isTTY) return print(escapeControls(Buffer.from(bytes).toString('utf8')));
  return isFile() ? writeToFile(bytes) : printAll(bytes);
}

let isFileKnown: boolean | undefined;

function isFile(): boolean {
  return (isFileKnown ??= !fstatSync(STDOUT).isFIFO() && !fstatSync(STDOUT).isSocket());
}

/**
 * By a thread of Node's pool, so that this one goes on reading and unpacking: the copy of 860 MB into a file takes as long as that.
 * A pipe is not written so, because it would have to be one that blocks.
 */
async function writeToFile(bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const start = at;
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    write(STDOUT, bytes, start, bytes.length - start, undefined, (error, written) => {
      if (error === null) resolve(written);
      else reject(toWriteError(error));
    });
    at += await promise;
  }
}

function toWriteError(error: NodeJS.ErrnoException): OperationalError {
  if (error.code === 'ENOSPC') return new OperationalError('E_DISK_FULL', 'no room for standard output', 'free some space', error);
  return new OperationalError(
    'E_OUTPUT_WRITE',
    `standard output cannot be written: ${messageOf(error)}`,
    'name another file behind >',
    error,
  );
}

export function reportProblems(path: string, problems: readonly Problem[]): void {
  const paint = createPaint(process.stderr);
  for (const [what, count] of problems) {
    process.stderr.write(`${paint('yellow', 'warning:')} ${escapeControls(`${path}: ${what}`)}${count > 1 ? ` (${count} times)` : ''}\n`);
  }
}

/** The first of those of formats, which may be long. */
export function toProblems(formats: readonly string[]): Problem[] {
  return formats.slice(0, MAX_FORMAT_PROBLEMS).map((problem) => [problem.slice(0, MAX_PROBLEM_CHARS), 1]);
}

/** The exit code: a script should see that there was nothing to read in a file that is broken. */
export function endReport(path: string, problems: readonly Problem[], records: number): number {
  reportProblems(path, problems);
  return problems.length > 0 && records === 0 ? 1 : 0;
}
