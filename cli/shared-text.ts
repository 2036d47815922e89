/** Megabytes of text for all threads, as UTF-8: a message would copy them for each, and new memory costs 5 ns a byte here. */
export interface SharedTexts {
  readonly bytes: SharedArrayBuffer;
  /** Where each text ends. */
  readonly ends: readonly number[];
}

export function shareTexts(texts: readonly string[]): SharedTexts {
  const bytes = new SharedArrayBuffer(texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0));
  const buffer = Buffer.from(bytes);
  let end = 0;
  return { bytes, ends: texts.map((text) => (end += buffer.write(text, end))) };
}

export function readSharedText({ bytes, ends }: SharedTexts, index: number): string {
  return Buffer.from(bytes).toString('utf8', ends[index - 1] ?? 0, ends[index]);
}

export function shareBytes(bytes: Uint8Array): Uint8Array {
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  return shared;
}
