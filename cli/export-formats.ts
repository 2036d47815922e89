/** What `mkscope export` can write. To add a format is one entry. */
import type { ProgressBar } from './progress-bar.ts';

/** Flags of `mkscope export`, as they were given. */
export interface ExportFlags {
  readonly output: string | undefined;
  readonly cpu: readonly string[];
  readonly since: string | undefined;
  readonly until: string | undefined;
  readonly compression: string | undefined;
  readonly kernel: string | undefined;
  readonly data: string | undefined;
  readonly config: string | undefined;
  readonly hub: string | undefined;
  readonly 'token-file': string | undefined;
}

export interface ExportFormat {
  /** Writes the recording at `path`, or what is stored where there is none; returns what to say about it. */
  write(path: string | undefined, flags: ExportFlags, bar: ProgressBar): Promise<string>;
}

export const EXPORT_FORMATS: Readonly<Record<string, ExportFormat>> = {
  'trace.dat': { write: async (...given) => (await import('./export-trace-dat.ts')).writeTraceDatFile(...given) },
};
