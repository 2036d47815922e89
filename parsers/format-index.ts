/**
 * The formats of a kernel by the ID that begins its records. There are thousands of them, and a recording has records of some
 * tens: each is parsed when the first of its records comes (all 2,300 here take 0.04–0.1 s).
 */
import type { FormatSet } from '../model/segment.ts';
import { findBlktraceId, writeBlktraceFormat } from './blktrace-format.ts';
import { ID_LINE, parseEventFormat, type EventFormat, type FieldLines } from './event-format.ts';
import { parseHeaderPage, type PageLayout } from './page-header.ts';

/** Each buffer of a file, and each look at it, has a reader of its own; they share the formats. */
const indexes = new WeakMap<FormatSet, FormatIndex>();

export function indexFormats(set: FormatSet): FormatIndex {
  let index = indexes.get(set);
  if (index === undefined) indexes.set(set, (index = new FormatIndex(set)));
  return index;
}

export class FormatIndex {
  /** Undefined where `header_page` is not understood. */
  readonly layout: PageLayout | undefined;
  readonly #events: FormatSet['events'];
  readonly #headerProblem: string | undefined;
  /** Positions in `#events`, in their order. */
  readonly #places = new Map<number, number[]>();
  readonly #found = new Map<number, EventFormat | undefined>();
  readonly #lines: FieldLines = new Map();
  readonly #blktraceId: number | undefined;
  #problems: readonly string[] | undefined;

  constructor({ headerPage, events }: FormatSet) {
    const layout = parseHeaderPage(headerPage);
    this.layout = typeof layout === 'string' ? undefined : layout;
    this.#headerProblem = typeof layout === 'string' ? layout : undefined;
    this.#events = events;
    events.forEach(({ format }, place) => {
      const id = Number(ID_LINE.exec(format)?.[1] ?? Number.NaN);
      const others = this.#places.get(id);
      if (others === undefined) this.#places.set(id, [place]);
      else others.push(place);
    });
    this.#blktraceId = findBlktraceId(events);
  }

  /** The first format with this ID that is understood: a kernel gives an ID once, so another is damage or was added to the file. */
  find(id: number): EventFormat | undefined {
    if (!this.#found.has(id)) this.#found.set(id, this.#look(id));
    return this.#found.get(id);
  }

  #look(id: number): EventFormat | undefined {
    for (const place of this.#places.get(id) ?? []) {
      const parsed = this.#parse(place);
      if (typeof parsed !== 'string') return parsed;
    }
    if (id !== this.#blktraceId) return undefined;
    const parsed = parseEventFormat(writeBlktraceFormat(id, true), 'ftrace');
    return typeof parsed === 'string' ? undefined : parsed;
  }

  /** What is wrong with the set, for which all formats are parsed; their events are unknown. */
  get problems(): readonly string[] {
    return (this.#problems ??= this.#findProblems());
  }

  #findProblems(): string[] {
    const problems = this.#headerProblem === undefined ? [] : [this.#headerProblem];
    const names = new Map<number, string>();
    for (const place of this.#events.keys()) {
      const parsed = this.#parse(place);
      if (typeof parsed === 'string') {
        problems.push(parsed);
        continue;
      }
      const name = `${parsed.system}:${parsed.event}`;
      const known = names.get(parsed.id);
      if (known === undefined) names.set(parsed.id, name);
      else if (known !== name) problems.push(`${name} has the ID ${parsed.id} of ${known}`);
    }
    return problems;
  }

  #parse(place: number): EventFormat | string {
    const { system, format } = this.#events[place] as FormatSet['events'][number];
    return parseEventFormat(format, system, this.#lines);
  }
}
