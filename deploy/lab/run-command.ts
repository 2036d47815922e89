/** Runs a program of the system to its end and says in one error what went wrong: the lab is built with apt, dpkg, tar and make. */
import { execFile } from 'node:child_process';
import { errnoOf, OperationalError, type ErrorCode } from '../../base/errors.ts';

/** Lines of a failed program's output that go into the error. */
const SHOWN_LINES = 6;
const MAX_OUTPUT_BYTES = 16 << 20;

export interface RunOptions {
  /** Code and hint of the error when the program fails. */
  readonly code: ErrorCode;
  readonly hint: string;
  readonly cwd?: string;
  readonly signal?: AbortSignal | undefined;
}

/** Resolves with standard output; throws OperationalError where the program is missing or fails. */
export async function runCommand(program: string, args: readonly string[], options: RunOptions): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  execFile(
    program,
    [...args],
    {
      encoding: 'utf8',
      maxBuffer: MAX_OUTPUT_BYTES,
      env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    },
    (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const what =
        errnoOf(error) === 'ENOENT' ? `${program} is not installed` : `${program} ${args[0] ?? ''} failed: ${lastLines(stderr, stdout)}`;
      reject(new OperationalError(options.code, what, options.hint, error));
    },
  );
  return promise;
}

function lastLines(...outputs: readonly string[]): string {
  const lines = outputs.flatMap((output) => output.split('\n')).filter((line) => line.trim() !== '');
  return lines.slice(-SHOWN_LINES).join(' | ') || 'it printed nothing';
}
