/**
 * Takes terminal control out of console text, in place: ANSI sequences, NULs. Other control bytes stay, they may be all there
 * is to see of serial noise; whoever shows kernel text escapes them.
 *
 *   ESC [ 0;1 m          CSI: parameters up to a final byte 0x40 … 0x7e
 *   ESC ] title BEL      OSC, DCS and the like: up to BEL or ESC \ (here: or the end of the line)
 *   ESC c                two bytes
 *   ESC ( B              with intermediate bytes 0x20 … 0x2f
 */
const BELL = 7;
const ESCAPE = 27;
const OPEN = 0x5b;
const BACKSLASH = 0x5c;

/** Removes controls from `text[start, end)` and returns the new end. */
export function stripControls(text: Uint8Array, start: number, end: number): number {
  let to = start;
  let from = start;
  while (from < end) {
    const byte = text[from] as number;
    if (byte === ESCAPE) from = skipSequence(text, from, end);
    else {
      if (byte !== 0) text[to++] = byte;
      from++;
    }
  }
  return to;
}

function skipSequence(text: Uint8Array, at: number, end: number): number {
  let p = at + 1;
  const kind = text[p] as number;
  if (p >= end) return end;
  if (kind === OPEN) {
    for (p++; p < end && (text[p] as number) >= 0x20 && (text[p] as number) < 0x40; p++);
    // A byte that no sequence has breaks it off, and is text.
    return p < end && (text[p] as number) >= 0x40 && (text[p] as number) <= 0x7e ? p + 1 : p;
  }
  // OSC ], DCS P, SOS X, PM ^, APC _: strings with a terminator.
  if (kind === 0x5d || kind === 0x50 || kind === 0x58 || kind === 0x5e || kind === 0x5f) return skipString(text, p + 1, end);
  while (p < end && (text[p] as number) >= 0x20 && (text[p] as number) <= 0x2f) p++;
  return Math.min(p + 1, end);
}

function skipString(text: Uint8Array, start: number, end: number): number {
  for (let p = start; p < end; p++) {
    if (text[p] === BELL) return p + 1;
    if (text[p] === ESCAPE) return text[p + 1] === BACKSLASH ? p + 2 : p;
  }
  return end;
}
