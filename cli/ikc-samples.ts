/** Runs the samples of a user's packs: the trace and log lines go through the parsers and packs that real ones go through. */
import { encodeUtf8 } from '../base/bytes.ts';
import { HalfExtractor, type IkcExchange } from '../correlate/extract-halves.ts';
import { HALF, HalfBatch, NONE } from '../correlate/ikc-halves.ts';
import { NO_SUBTYPE, type IkcPack } from '../correlate/ikc-pack.ts';
import { IKC_PACKS } from '../correlate/ikc-packs/index.ts';
import { createMatcher, type MessageMatcher } from '../correlate/match-messages.ts';
import { MessageRecogniser } from '../correlate/recognise-messages.ts';
import { PrintedReader } from '../correlate/printed-halves.ts';
import { LogBatch } from '../model/log-batch.ts';
import { LEVEL_UNKNOWN } from '../model/severity.ts';
import type { OwnPack, PackSample } from './ikc-file.ts';
import { bareOf, parseTraceLines } from './trace-lines.ts';

export interface PackProblem {
  readonly pack: OwnPack;
  /** Line of the sample; undefined = of the pack. */
  readonly line: number | undefined;
  /** What the sample shows. */
  readonly about: string | undefined;
  readonly problem: string;
}

const KINDS = ['send', 'receive', 'failed'] as const;
const BOOT = 'sample';
/** Roles that a sample must show: the others say nothing by themselves. */
const SHOWN = new Set(['send', 'inner_send', 'receive', 'failed']);

type Found = Readonly<Record<string, number | string>>;

/** All packs together, as they will be: one may take what another is for. */
export function runPackSamples(packs: readonly OwnPack[]): PackProblem[] {
  const matcher = createMatcher(packs.flatMap(({ rules }) => rules));
  const all = [...packs.map(({ pack }) => pack), ...IKC_PACKS].map(withBareNames);
  return packs.flatMap((own, index) => {
    const shown = new Set<string>();
    const problems: PackProblem[] = own.samples.flatMap(({ sample, line }) => {
      const problem = findProblem(sample, index, all, matcher, shown);
      return problem === undefined ? [] : [{ pack: own, line, about: sample.about, problem }];
    });
    for (const { event, role } of own.pack.events) {
      if (SHOWN.has(role) && !shown.has(bareOf(event)))
        problems.push({ pack: own, line: undefined, about: undefined, problem: `no sample has the event ${event}` });
    }
    for (const { patterns } of own.rules) {
      for (const pattern of patterns)
        if (!shown.has(pattern))
          problems.push({ pack: own, line: undefined, about: undefined, problem: `no sample has a line for the pattern «${pattern}»` });
    }
    return problems;
  });
}

function findProblem(
  sample: PackSample,
  index: number,
  packs: readonly IkcPack[],
  matcher: MessageMatcher,
  shown: Set<string>,
): string | undefined {
  const halves = new HalfBatch();
  const extractor = new HalfExtractor(packs, BOOT);
  if (sample.trace.length > 0) {
    const events = parseTraceLines(sample.trace);
    if (typeof events === 'string') return events;
    for (const { schema } of events.tables) shown.add(schema.event);
    extractor.extract(events, 0, halves);
    extractor.finish(halves);
  }
  for (const text of sample.log) {
    const problem = readLine(text, packs, matcher, halves, shown);
    if (problem !== undefined) return problem;
  }
  const found = Array.from({ length: halves.length }, (_, row) => toFound(halves, row));
  const other = found.findIndex((_, row) => halves.pack[row] !== index);
  if (other >= 0) return `message ${other + 1} is one of the pack ${packs[halves.pack[other] as number]?.name}`;
  return (
    compareLists('message', found, sample.messages) ??
    compareLists('exchange', extractor.takeExchanges().map(toFoundExchange), sample.exchanges)
  );
}

function readLine(
  text: string,
  packs: readonly IkcPack[],
  matcher: MessageMatcher,
  halves: HalfBatch,
  shown: Set<string>,
): string | undefined {
  const bytes = encodeUtf8(text);
  const rule = matcher.match(bytes, 0, bytes.length, false)?.rule;
  if (rule === undefined) return `no pattern takes the line «${text}»`;
  const batch = new LogBatch(1);
  batch.addText(text, LEVEL_UNKNOWN);
  new MessageRecogniser(matcher).take(batch);
  const before = halves.length;
  new PrintedReader(packs).read(batch, BOOT, 0, halves);
  if (halves.length === before) return `the line «${text}» is ${rule.event}, and makes no message: is its type or length no number?`;
  for (const pattern of rule.patterns)
    if (createMatcher([{ ...rule, patterns: [pattern] }]).match(bytes, 0, bytes.length, false)) shown.add(pattern);
  return undefined;
}

function toFound(halves: HalfBatch, row: number): Found {
  const of = (name: string, value: number | undefined, none: number): Found =>
    value === none || value === undefined ? {} : { [name]: value };
  const kind = KINDS[halves.kind[row] as number] ?? 'send';
  return {
    kind,
    ...of('peer', halves.peer[row], NONE),
    ...of('from_cpu', halves.fromCpu[row], NONE),
    type: halves.type[row] as number,
    ...of('subtype', halves.subtype[row], NO_SUBTYPE),
    length: halves.messageBytes[row] as number,
    ...of('slot', halves.slot[row], NONE),
    queue: halves.queue[row] as number,
    ...(halves.kind[row] === HALF.failed ? { error: halves.error[row] as number } : {}),
  };
}

function toFoundExchange({ operation, state, result }: IkcExchange): Found {
  return { operation, state, ...(result === undefined ? {} : { result }) };
}

function compareLists(what: string, found: readonly Found[], wanted: readonly object[]): string | undefined {
  for (const [at, one] of wanted.entries()) {
    const own = found[at];
    if (own === undefined) break;
    for (const [key, value] of Object.entries(one)) {
      if (value !== undefined && own[key] !== value)
        return `${what} ${at + 1} has ${key} ${own[key] ?? 'not at all'}, not ${value}: ${describe(own)}`;
    }
  }
  if (found.length === wanted.length) return undefined;
  const counted = (count: number): string => `${count} ${what}${count === 1 ? '' : 's'}`;
  const all = found.length === 0 ? '' : `: ${found.map(describe).join(', ')}`;
  return `it makes ${counted(found.length)}, not ${wanted.length}${all}`;
}

function describe(found: Found): string {
  return `{ ${Object.entries(found)
    .map(([key, value]) => `${key}: ${value}`)
    .join(', ')} }`;
}

/** Text has the bare names of events. */
function withBareNames(pack: IkcPack): IkcPack {
  return { ...pack, events: pack.events.map((one) => (one.probe === undefined ? { ...one, event: bareOf(one.event) } : one)) };
}
