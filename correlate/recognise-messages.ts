/**
 * Gives rows of one stream of one kernel the name and the fields of the message that they are: EventName, attributes, and a
 * level where the stream has none.
 *
 *   Instance 3 (web-1) halted, CPUs parking in pool   →   EventName mk.instance.halted
 *                                                         mk.instance.id=3  mk.instance.name=web-1
 *
 * The level is the one that the kernel prints the message at, so a line has the same one whichever way it came. Two attributes
 * say what a level alone gets wrong: `mk.benign` (looks like a fault and is none) and `mk.repeat` (1, 2, …: another row of the
 * same event, as when each CPU says it once).
 * Rows that have a name already keep it. Between stamped rows a row without a stamp is user space's, which may print anything:
 * it is no message of the kernel.
 */
import type { Interner } from '../base/interner.ts';
import { AttributeColumns } from '../model/attribute-columns.ts';
import { ATTR } from '../model/attributes.ts';
import { LOG_FLAG, type LogBatch } from '../model/log-batch.ts';
import { LEVEL_NAMES, LEVEL_UNKNOWN } from '../model/severity.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import { readMarker } from './marker-fields.ts';
import type { MessageMatch, MessageMatcher } from './match-messages.ts';
import type { MessageRule } from './message-catalogue.ts';
import type { FieldType, PatternField } from './message-pattern.ts';

/** Values that a later message may refer to: CPUs that are being added at once are few. */
const MAX_REMEMBERED = 64;
const SAFE_DIGITS = 15;
const MAX_INT64 = 0x7fff_ffff_ffff_ffffn;
const MIN_INT64 = -0x8000_0000_0000_0000n;

interface Burst {
  lastNs: bigint;
  count: number;
}

export class MessageRecogniser {
  readonly #matcher: MessageMatcher;
  /** Per event that another rule refers to: values of the field, oldest first. */
  readonly #remembered = new Map<string, Set<string>>();
  readonly #bursts = new Map<MessageRule, Burst>();
  #hasStamps = false;
  /** Ids of names in the dictionary of the batch at hand. */
  readonly #ids = new Map<string, number>();
  #strings: Interner | undefined;

  constructor(matcher: MessageMatcher) {
    this.#matcher = matcher;
    for (const { benign } of matcher.rules) if (benign?.after !== undefined) this.#remembered.set(benign.after.event, new Set());
  }

  /** Rows in the order in which they were printed. Returns how many got a name. */
  take(batch: LogBatch): number {
    const { text, textStart, textEnd, eventName, flags, rawTime } = batch;
    const named: number[] = [];
    let more: AttributeColumns | undefined;
    for (let row = 0; row < batch.length; row++) {
      const high = rawTime.words[row * 2 + 1] as number;
      // NO_RAW_TIME is the only negative one.
      const isStamped = high >>> 31 === 0;
      if (isStamped) this.#hasStamps = true;
      if (eventName[row] !== 0) continue;
      const fromUser = ((flags[row] as number) & LOG_FLAG.userSpace) !== 0 || (!isStamped && this.#hasStamps);
      const found = this.#matcher.match(text, textStart[row] as number, textEnd[row] as number, fromUser);
      if (found === undefined) continue;
      more ??= new AttributeColumns(batch.strings);
      this.#name(batch, row, found, more);
      named.push(row);
    }
    if (more !== undefined) batch.attributes.addToRows(named, more);
    return named.length;
  }

  #name(batch: LogBatch, row: number, { rule, fields, names, values }: MessageMatch, more: AttributeColumns): void {
    batch.eventName[row] = this.#idOf(batch.strings, rule.event);
    setLevel(batch, row, rule);
    for (let at = 0; at < fields.length; at++) {
      const written = values[at];
      if (written === undefined) continue;
      if ((fields[at] as PatternField).name === rule.json && this.#addMarker(more, rule, written)) continue;
      addValue(more, this.#idOf(batch.strings, names[at] as string), written, (fields[at] as PatternField).type);
    }
    if (this.#isBenign(rule, names, values)) more.addBool(this.#idOf(batch.strings, ATTR.benign), true);
    const repeat = this.#countRepeat(rule, batch, row);
    if (repeat > 0) more.addInt(this.#idOf(batch.strings, ATTR.repeat), repeat);
    more.closeRow();
    if (this.#remembered.has(rule.event)) this.#remember(rule.event, names, values);
  }

  /** False for what is no JSON object. */
  #addMarker(more: AttributeColumns, { prefix }: MessageRule, text: string): boolean {
    const members = readMarker(text);
    for (const [name, value] of members ?? []) {
      const key = this.#idOf(more.strings, prefix + name);
      if (typeof value === 'string') more.addString(key, more.strings.internString(value));
      else if (typeof value === 'boolean') more.addBool(key, value);
      else if (Number.isSafeInteger(value)) more.addInt(key, value);
      else more.addDouble(key, value);
    }
    return members !== undefined;
  }

  /** Names are few and come again in each row: not encoded and looked up by their bytes each time. */
  #idOf(strings: Interner, name: string): number {
    if (strings !== this.#strings) {
      this.#strings = strings;
      this.#ids.clear();
    }
    let id = this.#ids.get(name);
    if (id === undefined) {
      id = strings.internString(name);
      this.#ids.set(name, id);
    }
    return id;
  }

  #isBenign({ benign }: MessageRule, names: MessageMatch['names'], values: MessageMatch['values']): boolean {
    if (benign === undefined) return false;
    if (benign.after === undefined) return true;
    const value = values[names.indexOf(benign.after.field)];
    return value !== undefined && this.#remembered.get(benign.after.event)?.delete(value) === true;
  }

  #remember(event: string, names: MessageMatch['names'], values: MessageMatch['values']): void {
    const known = this.#remembered.get(event) as Set<string>;
    for (const { benign } of this.#matcher.rules) {
      const value = benign?.after?.event === event ? values[names.indexOf(benign.after.field)] : undefined;
      if (value === undefined) continue;
      known.delete(value);
      known.add(value);
    }
    for (const oldest of known) {
      if (known.size <= MAX_REMEMBERED) return;
      known.delete(oldest);
    }
  }

  /** 0 = the first of its burst. */
  #countRepeat(rule: MessageRule, { rawTime }: LogBatch, row: number): number {
    if (rule.repeatsWithinMs === undefined) return 0;
    const rawNs = rawTime.getBigint(row);
    const burst = this.#bursts.get(rule);
    const isSame = burst !== undefined && isNear(burst.lastNs, rawNs, BigInt(rule.repeatsWithinMs) * 1_000_000n);
    const count = isSame ? burst.count + 1 : 0;
    this.#bursts.set(rule, { lastNs: rawNs, count });
    return count;
  }
}

function isNear(before: bigint, now: bigint, withinNs: bigint): boolean {
  if (before === NO_RAW_TIME || now === NO_RAW_TIME) return before === now;
  // CPUs that print at once may be out of order by a little.
  const distance = now - before;
  return distance <= withinNs && distance >= -withinNs;
}

/** What the kernel wrote, or a sender said, is left as it is; a guess from the text is not. */
function setLevel(batch: LogBatch, row: number, { level }: MessageRule): void {
  const isGuess = ((batch.flags[row] as number) & LOG_FLAG.levelGuessed) !== 0;
  if (!isGuess && (batch.level[row] !== LEVEL_UNKNOWN || batch.severityNumber[row] !== 0)) return;
  batch.level[row] = LEVEL_NAMES.indexOf(level);
  batch.flags[row] = (batch.flags[row] as number) | LOG_FLAG.levelGuessed;
}

function addValue(more: AttributeColumns, key: number, written: string, type: FieldType): void {
  if (type === 'float') more.addDouble(key, Number(written));
  else if (type !== 'int') more.addString(key, more.strings.internString(type === 'hex' ? toHex(written) : written.trimEnd()));
  else if (written.length <= SAFE_DIGITS) more.addInt(key, Number(written));
  else addLongInt(more, key, written);
}

function addLongInt(more: AttributeColumns, key: number, written: string): void {
  const value = BigInt(written);
  // ~0, which stands for «none»: OTLP's integers are signed.
  if (value > MAX_INT64 || value < MIN_INT64) more.addString(key, more.strings.internString(written));
  else more.addIntWords(key, Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n)));
}

/** `0x00000df9`, `df9` and `0xDF9` are one value. */
function toHex(written: string): string {
  return `0x${written
    .replace(/^0x/i, '')
    .replace(/^0+(?=.)/, '')
    .toLowerCase()}`;
}
