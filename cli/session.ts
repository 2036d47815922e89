/** A session that `mkscope lab record` wrote (docs/formats/lab_session.md): what is in its folder, and how it is replayed. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';

import { messageOf, OperationalError } from '../base/errors.ts';
import { replay, type ReplayedGuest, type ReplayOptions } from '../collector/replay.ts';
import { SESSION_NAME, SESSION_VERSION, type SessionFile } from '../deploy/lab/recorder.ts';
import { readVersion } from './package-root.ts';

const decimal = z.string().regex(/^\d{1,19}$/);
const sessionFile = z.object({
  version: z.literal(SESSION_VERSION),
  machine: z.object({ id: z.string().min(1), name: z.string().min(1) }),
  fromUnixNs: decimal,
  toUnixNs: decimal,
  // A name is a folder beside the file, and nothing else.
  kernels: z.array(
    z.object({ id: z.int().nonnegative(), name: z.string().regex(/^\w[\w.-]*$/), release: z.string(), cpus: z.int().positive() }),
  ),
  events: z.array(z.object({ unixNs: decimal, what: z.string() })),
});

export interface Session {
  readonly dir: string;
  readonly file: SessionFile;
  /** Bytes of all its files. */
  readonly sizeBytes: number;
}

/** Throws OperationalError E_INPUT_READ or E_INPUT_FORMAT. */
export function openSession(dir: string): Session {
  let text: string;
  try {
    text = readFileSync(join(dir, SESSION_NAME), 'utf8');
  } catch (error) {
    throw new OperationalError(
      'E_INPUT_READ',
      `${dir} is no session: ${messageOf(error)}`,
      'name a folder that `mkscope lab record` wrote',
      error,
    );
  }
  const file = parseSession(dir, text);
  const sizeBytes = file.kernels
    .flatMap(({ name }) => ['stream.mkf', 'console.log'].flatMap((of) => [join(dir, name, of), join(dir, name, `${of}.zst`)]))
    .reduce((total, path) => total + (statSync(path, { throwIfNoEntry: false })?.size ?? 0), 0);
  return { dir, file, sizeBytes };
}

function parseSession(dir: string, text: string): SessionFile {
  const path = join(dir, SESSION_NAME);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new OperationalError('E_INPUT_FORMAT', `${path} is not JSON: ${messageOf(error)}`, 'was the recording ended?', error);
  }
  const parsed = sessionFile.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new OperationalError(
    'E_INPUT_FORMAT',
    `${path}: ${issue?.path.join('.')}: ${issue?.message}`,
    'docs/formats/lab_session.md says what it holds',
  );
}

export interface SessionReplay extends Pick<ReplayOptions, 'to' | 'shiftNs' | 'isPaced' | 'signal' | 'onProgress'> {
  /** Name of the machine that the kernels are shown under; default: the session's own. */
  readonly machine?: string | undefined;
}

/** Replays all kernels; a session that was replayed before under the same machine and time stores nothing twice. */
export async function replaySession({ dir, file }: Session, options: SessionReplay): Promise<ReplayedGuest[]> {
  const workDir = mkdtempSync(join(tmpdir(), 'mkscope-replay-'));
  const { machine, shiftNs = 0n, ...rest } = options;
  const version = readVersion();
  // Another version may cut the recording into other batches.
  const key = createHash('sha256')
    .update(JSON.stringify([file, machine ?? '', String(shiftNs), version]))
    .digest('hex')
    .slice(0, 32);
  try {
    return await replay({
      ...rest,
      shiftNs,
      key: `session-${key}`,
      version,
      workDir,
      machine: { machineId: machine ?? file.machine.id, machineName: machine ?? file.machine.name },
      guests: file.kernels.map(({ id, name }) => ({
        name,
        kernel: id,
        streamPath: join(dir, name, 'stream.mkf'),
        consolePath: join(dir, name, 'console.log'),
      })),
    });
  } finally {
    rmSync(workDir, { recursive: true, force: true });
  }
}
