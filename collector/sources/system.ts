/** The state of the kernel that we run on, sampled from /proc (collector/system-metrics.ts). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Sink, Source, SourceStatus } from '../../model/pipeline.ts';
import type { KernelClock } from '../kernel-clock.ts';
import { SYSTEM_FILES, SystemMetrics } from '../system-metrics.ts';

export interface SystemOptions {
  readonly intervalMs: number;
  readonly clock: KernelClock;
  /** Folder that stands for /proc. */
  readonly proc?: string;
}

export class SystemSource implements Source {
  readonly id = 'system';
  readonly #options: SystemOptions;
  readonly #proc: string;
  readonly #metrics = new SystemMetrics();
  #sink: Sink | undefined;
  #timer: NodeJS.Timeout | undefined;
  #state: SourceStatus['state'] = 'stopped';
  #errors = 0;
  #detail = '';

  constructor(options: SystemOptions) {
    this.#options = options;
    this.#proc = options.proc ?? '/proc';
  }

  start(sink: Sink): Promise<void> {
    this.#sink = sink;
    this.#state = 'running';
    this.#sample();
    this.#timer = setInterval(() => this.#sample(), this.#options.intervalMs);
    return Promise.resolve();
  }

  stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#state = 'stopped';
    return Promise.resolve();
  }

  status(): SourceStatus {
    return { state: this.#state, detail: this.#detail, streams: [], errors: this.#errors };
  }

  #sample(): void {
    const timeNs = this.#options.clock.nowUnixNs();
    const files = new Map<string, string>();
    for (const name of SYSTEM_FILES) {
      const text = this.#read(name);
      if (text !== undefined) files.set(name, text);
    }
    void this.#sink?.write({ kind: 'metrics', batch: this.#metrics.toBatch(files, timeNs) });
  }

  /** A kernel without PSI lacks its files; the others stay. */
  #read(name: string): string | undefined {
    try {
      return readFileSync(join(this.#proc, name), 'latin1');
    } catch {
      if (!name.startsWith('pressure/')) this.#errors++;
      else this.#detail = 'no pressure metrics: the kernel runs without PSI (psi=1 on its command line enables it)';
      return undefined;
    }
  }
}
