/** Recorded files on their way into a hub, or into the folder of a store. */
import { createReadStream, existsSync, mkdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { errnoOf, isOperational, messageOf, OperationalError } from '../base/errors.ts';
import type { ImportOptions, ImportOutcome, ImportProgress } from '../hub/import-file.ts';
import { SESSION_NAME } from '../deploy/lab/recorder.ts';
import type { ImportResult } from '../model/api.ts';
import { loadConfig } from './config.ts';
import { toFlagValues } from './config-flags.ts';
import { formatImport, formatSkipped } from './import-report.ts';
import { inspectHosts, nameKernels } from './import-hosts.ts';
import { planImport } from './import-plan.ts';
import type { PlannedFile } from './import-plan.ts';
import { openHubClient } from './hub-flags.ts';
import { parseMoment } from './moment.ts';
import { findQuote, HEAD_BYTES } from './quoted-text.ts';
import { isPlain, unpackInput } from './unpack-input.ts';
import { readHead } from '../hub/file-source.ts';
import { readVersion } from './package-root.ts';
import { ProgressBar } from './progress-bar.ts';
import { reportError } from './report-error.ts';
import { readIkcPacks, readMessages, toStoreOptions } from './settings.ts';
import { createPaint, print, type Paint } from './terminal.ts';
import type { ImportFlags } from './commands/import.ts';

/** Of the pages of a trace.dat: nobody waits for this process meanwhile, and a million rows make a part that is seldom merged. */
const APPEND_BYTES = 32 << 20;

export async function importFiles(paths: readonly string[], flags: ImportFlags): Promise<number> {
  const sessions = paths.filter((path) => existsSync(join(path, SESSION_NAME)));
  const files = paths.filter((path) => !sessions.includes(path));
  const bar = new ProgressBar();
  const paint = createPaint(process.stdout);
  await importSessions(sessions, flags, bar, paint);
  if (sessions.length > 0 && files.length === 0 && flags.kernel.length === 0) return 0;
  const skipped: { path: string; reason: string }[] = [];
  const given = new Set(flags.kernel.map((text) => text.slice(text.indexOf('=') + 1)));
  const hosts = inspectHosts([...given, ...files]);
  const plan = nameKernels(
    planImport(
      flags.kernel,
      hosts.order(files, (path) => path),
      (path, reason) => skipped.push({ path, reason }),
    ),
    given,
    hosts,
  );
  const timeZero = flags['time-zero'] === undefined ? undefined : parseMoment('time-zero', flags['time-zero']);
  const wanted = { machine: flags.machine, format: flags.format, timeZero, bar };
  const importer =
    flags.data === undefined
      ? await openUpload(flags, wanted)
      : await openDirect(loadConfig({ path: flags.config, flags: toFlagValues(flags), env: process.env }), wanted);
  try {
    let exitCode = 0;
    for (const one of skipped)
      await print(flags.json ? `${JSON.stringify({ file: one.path, skipped: one.reason })}\n` : formatSkipped(one, paint));
    for (const file of plan) {
      try {
        const result = await importer.take(file);
        bar.clear();
        await print(flags.json ? `${JSON.stringify({ file: file.path, ...result })}\n` : formatImport(file.path, result, paint));
        await printQuote(file, flags.json);
      } catch (error) {
        bar.clear();
        exitCode = reportError(nameFile(file, error));
      }
    }
    return exitCode;
  } finally {
    await importer.close();
  }
}

/** That the text is not quite what the file has. */
async function printQuote({ content, path }: PlannedFile, json: boolean): Promise<void> {
  const quote = content === undefined && path !== '-' && !json ? findQuote(readHead(path, HEAD_BYTES)) : undefined;
  if (quote !== undefined) await print(`  quoted: ${JSON.stringify(quote)} in front of its lines is left out\n`);
}

/** What replays a session is as much as a collector, and loaded for one. */
async function importSessions(dirs: readonly string[], flags: ImportFlags, bar: ProgressBar, paint: Paint): Promise<void> {
  if (dirs.length === 0) return;
  const { formatSession, importSession } = await import('./import-session.ts');
  for (const dir of dirs) {
    const config = flags.data === undefined ? undefined : loadConfig({ path: flags.config, flags: toFlagValues(flags), env: process.env });
    const guests = await importSession(dir, { config, hub: flags, machine: flags.machine }, bar);
    bar.clear();
    await print(flags.json ? `${JSON.stringify({ session: dir, kernels: guests })}\n` : formatSession(dir, guests, paint));
  }
}

/** The error of one file, which the others need not share; anything else ends the import. */
function nameFile(file: PlannedFile, error: unknown): OperationalError {
  if (!isOperational(error) || !['E_INPUT_FORMAT', 'E_INPUT_READ'].includes(error.code)) throw error;
  const message = error.message.includes(file.path) ? error.message : `${file.path}: ${error.message}`;
  return new OperationalError(error.code, message, error.hint.replace('name its format:', 'name its format with --format:'), error);
}

interface Wanted {
  readonly machine: string | undefined;
  readonly format: string | undefined;
  readonly timeZero: bigint | undefined;
  readonly bar: ProgressBar;
}

interface Importer {
  take(file: PlannedFile): Promise<ImportResult>;
  close(): Promise<void>;
}

async function openUpload(flags: Parameters<typeof openHubClient>[0], { machine, format, timeZero, bar }: Wanted): Promise<Importer> {
  // Brings node:http, which a file that goes into a folder has no use for.
  const [client, { uploadFile }] = await Promise.all([openHubClient(flags), import('./import-upload.ts')]);
  // An absent hub is said before a file is read.
  await client.getJson('/api/health', {}, 5000).catch((error: unknown) => {
    if (!isOperational(error) || error.code !== 'E_HUB_UNREACHABLE') throw error;
    throw new OperationalError(error.code, error.message, 'start one with `mkscope up`, or store into a folder with --data DIR', error);
  });
  return {
    take: (file) => {
      const query = {
        name: file.path === '-' ? file.kernelName : basename(file.path),
        kernel: file.kernelName,
        kernel_id: file.kernelId,
        machine,
        format,
        time_zero: timeZero?.toString(),
        modified: file.modifiedUnixNs?.toString(),
        modified_error: file.modifiedErrorNs?.toString(),
      };
      return uploadFile(
        client,
        query,
        readInput(file, (bytes) => bar.update(`${file.path}: sending`, bytes, file.sizeBytes)),
      );
    },
    close: () => Promise.resolve(),
  };
}

async function openDirect(config: ReturnType<typeof loadConfig>, { machine, format, timeZero, bar }: Wanted): Promise<Importer> {
  const [{ openStore }, { IMPORTED_MACHINE, importFile }, { storeLives }, { createMatcher }, { IkcJoin }, { scanIncidents }] =
    await Promise.all([
      import('../store/open.ts'),
      import('../hub/import-file.ts'),
      import('../hub/store-lives.ts'),
      import('../correlate/match-messages.ts'),
      import('../hub/ikc-join.ts'),
      import('../hub/incident-scan.ts'),
    ]);
  const dataDir = resolve(config.get('data'));
  const messages = createMatcher(readMessages(config));
  const workDir = join(dataDir, 'imports');
  // A merge that is begun here would be cut off by the end, and how long rows are kept is for the hub that keeps them: setting it costs
  // as much as making all tables.
  const { retention: _retention, ...options } = toStoreOptions(config);
  const store = await openStore({ ...options, dataDir, mergesEvents: false });
  let firstNs: bigint | undefined;
  if (!existsSync(workDir)) mkdirSync(workDir, { recursive: true });
  const ikc = new IkcJoin({ store, version: readVersion(), packs: readIkcPacks(config) });
  let host: ImportOptions['host'];
  const lifeMachines = new Set<string>();
  return {
    take: async (file) => {
      const options: ImportOptions = {
        fileName: file.path === '-' ? file.kernelName : basename(file.path),
        workDir,
        ...(canReadInPlace(file) ? { path: file.path } : {}),
        appendBytes: APPEND_BYTES,
        messages,
        ikc: { join: ikc, notice: () => undefined },
        identity: {
          kernelName: file.kernelName,
          kernelId: file.kernelId,
          ...(machine === undefined ? {} : { machineId: machine, machineName: machine }),
        },
        ...(format === undefined ? {} : { format }),
        ...(timeZero === undefined ? {} : { timeZeroUnixNs: timeZero }),
        ...(file.modifiedUnixNs === undefined ? {} : { modifiedUnixNs: file.modifiedUnixNs }),
        ...(file.modifiedErrorNs === undefined ? {} : { modifiedErrorNs: file.modifiedErrorNs }),
        ...(host === undefined ? {} : { host }),
      };
      const show = ({ phase, bytes, totalBytes, records }: ImportProgress): void =>
        bar.update(`${file.path}: ${phase}`, bytes, totalBytes, records > 0 ? `${records} records` : '');
      const outcome = await importFile(store, readInput(file), options, show);
      host ??= findHostClock(file, outcome);
      if (outcome.from !== '' && (firstNs === undefined || BigInt(outcome.from) < firstNs)) firstNs = BigInt(outcome.from);
      const { boots: _boots, lifeMachine, ...result } = outcome;
      if (lifeMachine !== undefined) lifeMachines.add(lifeMachine);
      return result;
    },
    close: async () => {
      // A life is told by the files of several kernels.
      for (const machineId of lifeMachines) await storeLives(store, { machineId, fromNs: 0n, version: readVersion() });
      // Room for what it stores: the files may have filled the spool.
      await store.flush();
      await ikc.advance(Date.now(), true);
      // Of all files together: what one kernel says explains the other.
      if (firstNs !== undefined) await scanIncidents(store, machine ?? IMPORTED_MACHINE, firstNs, BigInt(Date.now()) * 1_000_000n);
      await store.close();
    },
  };
}

/** A guest's console may have no time but the one that the host's log ties it to: so the host's file comes first. */
function findHostClock(file: PlannedFile, { boots }: ImportOutcome): ImportOptions['host'] {
  const boot = file.kernelId === 0 ? boots.findLast(({ kvm }) => kvm !== undefined) : undefined;
  return boot?.kvm === undefined ? undefined : { kvm: boot.kvm, fit: boot.fit };
}

/** A recording is read where it lies: not one that is packed, or text that is to be changed first. */
function canReadInPlace({ content, path, parts }: PlannedFile): boolean {
  return content === undefined && path !== '-' && parts === undefined && isPlain(readHead(path, HEAD_BYTES));
}

async function* readInput(file: PlannedFile, onBytes: (bytes: number) => void = () => undefined): AsyncGenerator<Uint8Array> {
  if (file.content !== undefined) {
    onBytes(file.content.length);
    yield file.content;
    return;
  }
  let bytes = 0;
  const onChunk = (chunkBytes: number): void => {
    bytes += chunkBytes;
    onBytes(bytes);
  };
  for (const path of file.parts ?? [file.path]) yield* unpackInput(readFile(path, onChunk), path);
}

async function* readFile(path: string, onChunk: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  const stream: AsyncIterable<Uint8Array> = path === '-' ? process.stdin : createReadStream(path, { highWaterMark: 1 << 20 });
  try {
    for await (const chunk of stream) {
      onChunk(chunk.length);
      yield chunk;
    }
  } catch (error) {
    throw new OperationalError(
      'E_INPUT_READ',
      `${path} cannot be read (${errnoOf(error) ?? messageOf(error)})`,
      'check the path and its permissions',
      error,
    );
  }
}
