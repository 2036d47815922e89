/**
 * Probes of IKC packs: made through `kprobe_events`, one definition per write, since a write is taken whole or not at all. A probe
 * lives until it is removed, also beyond the process that made it:
 *
 *   p:ikc/mk_send mk_send_message inst=%di:s32 …    made; a left-over one of this name is removed first
 *   -:ikc/mk_send                                   removed; refused (EBUSY) while an instance has its event enabled
 *
 * A function that this kernel does not have is left out and told. Not handled: fprobes (`f:`), which need BTF.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, messageOf } from '../base/errors.ts';
import { toProbeDefinition, type IkcEvent } from '../correlate/ikc-pack.ts';

export interface SkippedProbe {
  readonly event: string;
  readonly reason: string;
}

export interface ProbeReport {
  /** Events that can be enabled: `ikc:mk_send`. */
  readonly installed: readonly string[];
  readonly skipped: readonly SkippedProbe[];
}

export class KprobeSet {
  readonly #path: string;
  readonly #tracefs: string;
  readonly #installed: string[] = [];

  constructor(tracefs: string) {
    this.#tracefs = tracefs;
    this.#path = join(tracefs, 'kprobe_events');
  }

  /** `arch` as OTLP names it. Events that the kernel has anyhow are not looked at. */
  install(events: readonly IkcEvent[], arch: string, functions: FunctionList | undefined = readFunctions(this.#tracefs)): ProbeReport {
    const skipped: SkippedProbe[] = [];
    for (const one of events) {
      const definition = toProbeDefinition(one, arch);
      // Two entries of a pack may share a probe, each with a filter of its own.
      if (definition === undefined || one.probe === undefined || this.#installed.includes(one.event)) continue;
      // A module's functions are not there before it is; the kernel takes the definition and waits.
      if (functions !== undefined && one.probe.module === undefined && !functions.has(one.probe.function)) {
        skipped.push({ event: one.event, reason: `no function ${one.probe.function}` });
        continue;
      }
      const reason = this.#write(definition, one.event);
      if (reason === undefined) this.#installed.push(one.event);
      else skipped.push({ event: one.event, reason });
    }
    return { installed: [...this.#installed], skipped };
  }

  /** Removes what was made here; what another instance still has enabled stays. Returns what stays, with why. */
  remove(): SkippedProbe[] {
    return this.#installed.splice(0).flatMap((event) => this.#remove(event) ?? []);
  }

  /** Probes of our group that an earlier collector left, that nobody uses, and that are none of `wanted`. Returns their names. */
  removeLeftOver(wanted: readonly string[]): string[] {
    const events = [...readText(this.#path).matchAll(/^[pr]\d*:(ikc)\/(\w+) /gm)].map(([, group, name]) => `${group}:${name}`);
    return events.filter((event) => !wanted.includes(event) && this.#remove(event) === undefined);
  }

  #write(definition: string, event: string): string | undefined {
    try {
      appendFileSync(this.#path, `${definition}\n`);
      return undefined;
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') return explain(error);
    }
    // Made by a collector or forwarder that is gone: anew; in use by one that lives: as it is.
    if (this.#remove(event) !== undefined) return undefined;
    try {
      appendFileSync(this.#path, `${definition}\n`);
      return undefined;
    } catch (error) {
      return explain(error);
    }
  }

  #remove(event: string): SkippedProbe | undefined {
    try {
      appendFileSync(this.#path, `-:${event.replace(':', '/')}\n`);
      return undefined;
    } catch (error) {
      // ENOENT: somebody was faster.
      return errnoOf(error) === 'ENOENT' ? undefined : { event, reason: explain(error) };
    }
  }
}

function explain(error: unknown): string {
  switch (errnoOf(error)) {
    case 'ENOENT':
    case 'EINVAL':
      return 'no such function or argument on this kernel';
    case 'EBUSY':
      return 'in use';
    case 'EACCES':
    case 'EPERM':
      return 'the kernel refuses probes (no permission, or locked down)';
    default:
      return messageOf(error);
  }
}

export interface FunctionList {
  has(name: string): boolean;
}

/** Functions that can be probed; undefined where the kernel does not list them. The list stays one text: it has some 60,000 lines. */
export function readFunctions(tracefs: string): FunctionList | undefined {
  // `name` or `name [module]`; `address type name`, then a tab and the module.
  const listed = readText(join(tracefs, 'available_filter_functions'));
  const lines = `\n${listed}`;
  if (listed !== '') return { has: (name) => hasWord(lines, `\n${name}`) };
  const symbols = readText('/proc/kallsyms');
  return symbols === '' ? undefined : { has: (name) => ['t', 'T', 'w', 'W'].some((type) => hasWord(symbols, ` ${type} ${name}`)) };
}

/** `start` with the end of a word behind it. A pattern over some megabytes for each function takes four times as long. */
function hasWord(text: string, start: string): boolean {
  for (let at = text.indexOf(start); at >= 0; at = text.indexOf(start, at + 1)) {
    if (['\n', '\t', ' ', undefined].includes(text[at + start.length])) return true;
  }
  return false;
}

/** Empty where there is no such file, or nobody may read it: the kernel itself then says what it lacks. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'EACCES', 'EPERM'].includes(errnoOf(error) ?? '')) return '';
    throw error;
  }
}
