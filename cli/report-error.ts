/** What a person gets to see when something failed, and the exit code that a script gets. */
import { inspect } from 'node:util';

import { errnoOf, isOperational } from '../base/errors.ts';
import { createPaint, escapeControls } from './terminal.ts';

/** Exit codes: 2 = the command line or the configuration is wrong, 1 = the world said no, 70 = a bug (sysexits EX_SOFTWARE). */
const EXIT = { world: 1, usage: 2, bug: 70 } as const;

/** Writes the error to standard error and returns the exit code. */
export function reportError(error: unknown): number {
  const paint = createPaint(process.stderr);
  if (!isOperational(error)) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : inspect(error);
    process.stderr.write(`mkscope: this is a bug in mkscope, please report it with these lines\n${escapeControls(stack)}\n`);
    return EXIT.bug;
  }
  process.stderr.write(`mkscope: ${escapeControls(error.message)} ${paint('dim', `[${error.code}]`)}\n`);
  if (error.hint !== '') process.stderr.write(`  ${paint('cyan', 'hint:')} ${escapeControls(error.hint)}\n`);
  if (process.env['MKSCOPE_LOG'] === 'debug' && error.cause !== undefined) {
    process.stderr.write(`  cause: ${escapeControls(inspect(error.cause))}\n`);
  }
  return error.code === 'E_ARGS' || error.code.startsWith('E_CONFIG_') ? EXIT.usage : EXIT.world;
}

/** The reader of our output has gone (`mkscope logs | head`): end without a word. A service goes on without its output. */
export function watchOutput(isService: () => boolean): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error) => {
      if (errnoOf(error) !== 'EPIPE') process.exit(EXIT.world);
      if (!isService()) process.exit(0);
    });
  }
}

/** Bugs that reach the top end the process with their stack; the exit code tells a supervisor that it was not an ordinary failure. */
export function watchBugs(): void {
  process.on('uncaughtException', (error) => {
    process.exit(reportError(error));
  });
}
