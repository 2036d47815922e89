/** A folder in one compressed file: what a fixture of many small files is kept in, and read from as a folder. */
import { readFileSync } from 'node:fs';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { FolderSource } from '../../parsers/tracefs-copy.ts';

/** Bytes by path. */
export type FolderFiles = ReadonlyMap<string, Uint8Array>;

/** As texts of one buffer repeat each other, the window is as large as all of them. */
const WINDOW_LOG = 24;

/** u32 bytes of the index | index, JSON: [path, bytes][] | the files, one after the other; all of it as zstd. */
export function packFolder(files: FolderFiles): Uint8Array {
  const index = Buffer.from(JSON.stringify([...files].map(([path, bytes]) => [path, bytes.length])));
  const head = Buffer.alloc(4);
  head.writeUInt32LE(index.length);
  const params = { [constants.ZSTD_c_compressionLevel]: 19, [constants.ZSTD_c_windowLog]: WINDOW_LOG };
  return zstdCompressSync(Buffer.concat([head, index, ...files.values()]), { params });
}

export function unpackFolder(path: string): FolderFiles {
  const bytes = zstdDecompressSync(readFileSync(path));
  let at = 4 + bytes.readUInt32LE(0);
  const index = JSON.parse(bytes.subarray(4, at).toString()) as [string, number][];
  const files = new Map<string, Uint8Array>();
  for (const [name, length] of index) files.set(name, new Uint8Array(bytes.subarray(at, (at += length))));
  return files;
}

export function openFolderFiles(files: FolderFiles): FolderSource {
  const empty = new Uint8Array(0);
  return {
    list: (path) => {
      const prefix = `${path}/`;
      const names = new Set<string>();
      for (const name of files.keys()) if (name.startsWith(prefix)) names.add(name.slice(prefix.length).split('/')[0] as string);
      return [...names];
    },
    sizeOf: (path) => files.get(path)?.length ?? 0,
    read: (path, offset, length) => (files.get(path) ?? empty).subarray(offset, offset + length),
  };
}
