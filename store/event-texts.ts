/** The format files behind stored events, as Native blocks of `event_texts` and `page_layouts`: once per boot and event. */
import { keepLast } from '../base/recent-map.ts';
import type { EventBatch } from '../model/event-batch.ts';
import type { FormatSet } from '../model/segment.ts';
import { layoutOf } from './event-formats.ts';
import type { NativeWriter } from './native.ts';

/** Boots whose formats are remembered as written; of others they are written again, which changes nothing. */
const MAX_BOOTS = 256;

const textsOf = new WeakMap<FormatSet, ReadonlyMap<string, string>>();

/** Format files by `system:event`. */
function indexTexts(formats: FormatSet): ReadonlyMap<string, string> {
  const known = textsOf.get(formats);
  if (known !== undefined) return known;
  const texts = new Map(formats.events.map(({ system, format }) => [`${system}:${/^name:\s*(\S+)/m.exec(format)?.[1]}`, format]));
  textsOf.set(formats, texts);
  return texts;
}

/** Remembers what was written, so that a batch writes only what is new. */
export class EventTexts {
  readonly #written = new Map<string, Set<bigint>>();

  /** Writes what the boot's batch brings that was not written; the caller commits it when the batch is stored. */
  write(texts: NativeWriter, layouts: NativeWriter, bootId: string, batch: EventBatch, formats: FormatSet): () => void {
    const written = this.#written.get(bootId);
    const fresh = batch.tables
      .filter(({ length, schema }) => length > 0 && written?.has(layoutOf(schema).formatId) !== true)
      .map(({ schema }) => ({ formatId: layoutOf(schema).formatId, name: schema.name, format: indexTexts(formats).get(schema.name) ?? '' }))
      .filter(({ format }) => format !== '');
    if (fresh.length > 0) {
      texts.openBlock(fresh.length);
      texts.constantString('BootId', bootId);
      texts.bigints(
        'FormatId',
        'UInt64',
        fresh.map(({ formatId }) => formatId),
      );
      texts.strings(
        'Event',
        fresh.map(({ name }) => name),
      );
      texts.strings(
        'Format',
        fresh.map(({ format }) => format),
      );
      texts.closeBlock();
    }
    if (written === undefined) {
      layouts.openBlock(1);
      layouts.constantString('BootId', bootId);
      layouts.constantString('Endian', formats.endian);
      layouts.constantString('HeaderPage', formats.headerPage);
      layouts.constantString('PrintkFormats', formats.printkFormats);
      layouts.closeBlock();
    }
    return () => this.#commit(bootId, fresh);
  }

  #commit(bootId: string, fresh: readonly { readonly formatId: bigint }[]): void {
    const written = this.#written.get(bootId) ?? new Set();
    for (const { formatId } of fresh) written.add(formatId);
    keepLast(this.#written, bootId, written, MAX_BOOTS);
  }
}
