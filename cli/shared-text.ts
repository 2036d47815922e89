/** Megabytes of text for all threads, which a message would copy for each: UTF-16 or, where that suffices, latin1. */
export interface SharedText {
  readonly bytes: SharedArrayBuffer;
  readonly encoding: 'latin1' | 'utf16le';
}

export function shareText(text: string): SharedText {
  // oxlint-disable-next-line no-control-regex -- all that has one byte in latin1
  const encoding = /^[\x00-\xff]*$/.test(text) ? 'latin1' : 'utf16le';
  const bytes = new SharedArrayBuffer(Buffer.byteLength(text, encoding));
  Buffer.from(bytes).write(text, encoding);
  return { bytes, encoding };
}

export function readSharedText({ bytes, encoding }: SharedText): string {
  return Buffer.from(bytes).toString(encoding);
}
