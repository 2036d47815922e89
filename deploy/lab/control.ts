/**
 * How commands reach a running lab: one JSON object per line over the lab's socket, one request per connection.
 *
 *   → {"command":"fault","kernel":"spawn1","fault":"panic","value":""}
 *   ← {"result":…}   or   {"error":{"code":"E_LAB_FAULT","message":"…","hint":"…"}}
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import split2 from 'split2';
import { errnoOf, isOperational, messageOf, OperationalError, type ErrorCode } from '../../base/errors.ts';
import { listen } from './sockets.ts';

/** What each command takes and gives. */
export interface LabRequest {
  readonly command: string;
  readonly [name: string]: unknown;
}

interface LabAnswer {
  readonly result?: unknown;
  readonly error?: { readonly code: ErrorCode; readonly message: string; readonly hint: string };
}

const SOCKET = 'lab.sock';
/** Holds the process id of the lab. */
const OWNER = 'owner';
const DIR_PREFIX = 'mkscope-lab-';

/** Where running labs have their folders: gone with the next boot, and short enough for a socket's path. */
function runDir(): string {
  const own = process.env['XDG_RUNTIME_DIR'];
  if (own !== undefined && own !== '' && existsSync(own)) return own;
  return process.getuid?.() === 0 && existsSync('/run') ? '/run' : tmpdir();
}

export function labDir(name: string): string {
  if (!/^[a-z0-9][a-z0-9-]{0,30}$/.test(name)) {
    throw new OperationalError('E_ARGS', `--name ${name} is no name for a lab`, 'use lower-case letters, digits and dashes, at most 31');
  }
  return join(runDir(), `${DIR_PREFIX}${name}`);
}

export async function serveControl(dir: string, answer: (request: LabRequest) => Promise<unknown>): Promise<Server> {
  return listen(join(dir, SOCKET), (socket) => {
    socket.on('error', () => undefined);
    socket.pipe(split2()).on('data', (line: string) => void reply(socket, line, answer));
  });
}

async function reply(socket: Socket, line: string, answer: (request: LabRequest) => Promise<unknown>): Promise<void> {
  let message: LabAnswer;
  try {
    message = { result: await answer(JSON.parse(line) as LabRequest) };
  } catch (error) {
    if (!isOperational(error) && !(error instanceof SyntaxError)) throw error;
    const { code, hint } = isOperational(error) ? error : { code: 'E_REQUEST' as const, hint: 'send one JSON object per line' };
    message = { error: { code, message: messageOf(error), hint } };
  }
  socket.end(`${JSON.stringify(message)}\n`);
}

/** Asks a running lab; throws E_LAB_ABSENT where there is none, and what the lab itself refuses. */
export async function askLab(name: string, request: LabRequest): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const socket = connect(join(labDir(name), SOCKET));
  let isAnswered = false;
  socket.once('error', (error) => reject(toAbsent(name, error)));
  socket.once('connect', () => socket.write(`${JSON.stringify(request)}\n`));
  socket.pipe(split2()).on('data', (line: string) => {
    isAnswered = true;
    const { result, error } = JSON.parse(line) as LabAnswer;
    if (error === undefined) resolve(result);
    else reject(new OperationalError(error.code, error.message, error.hint));
  });
  socket.once('close', () => {
    if (!isAnswered) reject(new OperationalError('E_LAB_ABSENT', `the lab ${name} ended before it answered`, 'start it: mkscope lab up'));
  });
  return promise;
}

/** Only a socket that is not there, or that nobody listens on, says that there is no lab: a busy one may refuse for a moment. */
function toAbsent(name: string, error: Error): OperationalError {
  if (!['ENOENT', 'ECONNREFUSED'].includes(errnoOf(error) ?? '')) {
    return new OperationalError(
      'E_LAB_FAULT',
      `the lab ${name} does not answer: ${error.message}`,
      'ask again; its log is in its folder',
      error,
    );
  }
  const others = listLabs().filter((other) => other !== name);
  const hint = others.length > 0 ? `running are: ${others.join(', ')} (--name NAME)` : 'start one: mkscope lab up';
  return new OperationalError('E_LAB_ABSENT', `no lab ${name} is running`, hint, error);
}

function listLabs(): string[] {
  return readdirSync(runDir())
    .filter((entry) => entry.startsWith(DIR_PREFIX) && existsSync(join(runDir(), entry, SOCKET)))
    .map((entry) => entry.slice(DIR_PREFIX.length));
}

/**
 * Makes the folder of a lab that is to start, as this process's. Throws E_LAB_RUNNING where a lab of that name runs or starts; what
 * a killed one left is removed.
 */
export function claimLabDir(name: string): string {
  const dir = labDir(name);
  if (isOwned(dir)) {
    throw new OperationalError(
      'E_LAB_RUNNING',
      `a lab named ${name} is running`,
      'end it (mkscope lab down), or name another: --name NAME',
    );
  }
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  takeLabDir(dir);
  return dir;
}

/** From now on the folder lives and dies with this process. */
export function takeLabDir(dir: string): void {
  writeFileSync(join(dir, OWNER), `${process.pid}\n`);
}

/** Its process lives: a socket comes only when all kernels are up, and one that does not answer now may do so soon. */
function isOwned(dir: string): boolean {
  let pid: number;
  try {
    pid = Number(readFileSync(join(dir, OWNER), 'utf8'));
    // A number is given out again: what has it now must be a lab.
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('lab');
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return false;
  }
}
