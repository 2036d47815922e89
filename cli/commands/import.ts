import { createReadStream, existsSync, mkdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';

import { errnoOf, isOperational, messageOf, OperationalError } from '../../base/errors.ts';
import type { ImportOptions, ImportOutcome, ImportProgress } from '../../hub/import-file.ts';
import type { ImportResult } from '../../model/api.ts';
import { defineCommand } from '../command.ts';
import { loadConfig } from '../config.ts';
import { CONFIG_FLAG, toFlagValues } from '../config-flags.ts';
import { formatImport, formatSkipped } from '../import-report.ts';
import { formatSession, importSession } from '../import-session.ts';
import { isSession } from '../session.ts';
import { inspectHosts, nameKernels } from '../import-hosts.ts';
import { planImport } from '../import-plan.ts';
import type { PlannedFile } from '../import-plan.ts';
import { uploadFile } from '../import-upload.ts';
import { HUB_FLAGS, openHubClient } from '../hub-flags.ts';
import { parseMoment } from '../moment.ts';
import { readVersion } from '../package-root.ts';
import { ProgressBar } from '../progress-bar.ts';
import { reportError } from '../report-error.ts';
import { readIkcPacks, readMessages, toStoreOptions } from '../settings.ts';
import { createPaint, print } from '../terminal.ts';

export const command = defineCommand({
  name: 'import',
  usage: '[options] FILE|DIR…',
  about:
    'load recorded files: dmesg and console text, kmsg dumps, netconsole, ftrace text and histograms, systrace, trace.dat of trace-cmd (of a host and its guests in any order), a copy of tracefs, crash records of a pstore (its folder or files), vmcore-dmesg.txt, and the folder of a session that `mkscope lab record` wrote. Several files are several kernels of one machine; logs of a Multikernel machine say themselves which. Goes to the running hub, or with --data straight into a folder that no hub holds. A file that is imported again stores nothing twice.',
  options: {
    kernel: {
      type: 'string',
      short: 'k',
      multiple: true,
      value: 'NAME[:ID]=FILE',
      help: 'the file of this kernel (repeatable); "host" is kernel 0',
    },
    machine: { type: 'string', value: 'NAME', help: 'machine that the kernels belong to (default: imported)' },
    format: { type: 'string', value: 'ID', help: 'kmsg, console, ftrace_text, trace_dat … (default: recognised by content)' },
    'time-zero': { type: 'string', value: 'TIME', help: 'when the clock of the file stood at 0, for logs that do not tell' },
    json: { type: 'boolean', help: 'one JSON object per file' },
    ...CONFIG_FLAG,
    ...HUB_FLAGS,
  },
  examples: [
    ['mkscope import dmesg.txt', 'one log'],
    ['mkscope import --machine rack7 *.log', 'the host and the spawned kernels of a Multikernel machine, in any order'],
    ['mkscope import --machine rack7 --kernel host=host.log --kernel spawn1=s1.log', 'three kernels on one timeline'],
    ['mkscope import --machine rack7 --kernel host=trace.dat --kernel web=trace-web.dat', 'a host and its guest, recorded by trace-cmd'],
    ['dmesg --raw | mkscope import --kernel host=-', 'from standard input'],
    ['mkscope import --machine rack7 /sys/fs/pstore', 'the last words of kernels that died, each boot for itself'],
    ['mkscope import ./session', 'all kernels of a recorded lab, on one timeline'],
    ['mkscope import --data ./old-incident trace.txt', 'into a folder of its own; then: mkscope hub --data ./old-incident'],
  ],
  positionals: { least: 0, most: 1000 },
  async run(flags, paths) {
    const sessions = paths.filter((path) => isSession(path));
    const files = paths.filter((path) => !sessions.includes(path));
    const bar = new ProgressBar();
    const paint = createPaint(process.stdout);
    for (const dir of sessions) {
      const config =
        flags.data === undefined ? undefined : loadConfig({ path: flags.config, flags: toFlagValues(flags), env: process.env });
      const guests = await importSession(dir, { config, hub: flags, machine: flags.machine }, bar);
      bar.clear();
      await print(flags.json ? `${JSON.stringify({ session: dir, kernels: guests })}\n` : formatSession(dir, guests, paint));
    }
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
        } catch (error) {
          bar.clear();
          exitCode = reportError(nameFile(file, error));
        }
      }
      return exitCode;
    } finally {
      await importer.close();
    }
  },
});

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
  const client = await openHubClient(flags);
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
      import('../../store/open.ts'),
      import('../../hub/import-file.ts'),
      import('../../hub/store-lives.ts'),
      import('../../correlate/match-messages.ts'),
      import('../../hub/ikc-join.ts'),
      import('../../hub/incident-scan.ts'),
    ]);
  const dataDir = resolve(config.get('data'));
  const messages = createMatcher(readMessages(config));
  const workDir = join(dataDir, 'imports');
  const store = await openStore({ ...toStoreOptions(config), dataDir });
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

async function* readInput(file: PlannedFile, onBytes: (bytes: number) => void = () => undefined): AsyncGenerator<Uint8Array> {
  if (file.content !== undefined) {
    onBytes(file.content.length);
    yield file.content;
    return;
  }
  const stream: AsyncIterable<Uint8Array> = file.path === '-' ? process.stdin : createReadStream(file.path, { highWaterMark: 1 << 20 });
  let bytes = 0;
  try {
    for await (const chunk of stream) {
      bytes += chunk.length;
      onBytes(bytes);
      yield chunk;
    }
  } catch (error) {
    throw new OperationalError(
      'E_INPUT_READ',
      `${file.path} cannot be read (${errnoOf(error) ?? messageOf(error)})`,
      'check the path and its permissions',
      error,
    );
  }
}
