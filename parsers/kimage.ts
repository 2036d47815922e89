/**
 * /proc/kimage of a Multikernel host: the images that are loaded, one per line.
 *
 *   MK_ID  Type        Start Address   Segments  Mode  Cmdline
 *   ----------------------------------------------------------
 *      23  multikernel  0x000101000000         4  file  "console=mktty0 loglevel=7"
 *      |   |            |                      |  |     +-- in double quotes, or nothing
 *      |   +-- default, crash or multikernel
 *      +-- 0 for those that are no instance's
 *
 * Columns are told apart by spaces, since generations pad them differently.
 */
export interface KernelImage {
  readonly id: number;
  readonly type: string;
  /** May hold secrets. */
  readonly commandLine: string;
}

const ROW = /^\s*(\d{1,10})\s+([a-z]{1,32})\s+0x[0-9a-f]+\s+\d+\s+[a-z]+\s*(?:"(.*)")?\s*$/i;

export function parseKimage(text: string): KernelImage[] {
  const images: KernelImage[] = [];
  for (const line of text.split('\n')) {
    const match = ROW.exec(line);
    if (match !== null) images.push({ id: Number(match[1]), type: (match[2] as string).toLowerCase(), commandLine: match[3] ?? '' });
  }
  return images;
}
