/**
 * The first bytes of each ring-buffer page (sub-buffer), described by the traced kernel's `events/header_page`:
 *
 *   	field: u64 timestamp;	offset:0;	size:8;	signed:0;
 *   	field: local_t commit;	offset:8;	size:8;	signed:1;     size: `long` of the traced kernel, 4 or 8
 *   	field: int overwrite;	offset:8;	size:1;	signed:1;     not a field: says that the kernel can overwrite
 *   	field: char data;	offset:16;	size:4080;	signed:0;  offset + size: bytes of a page
 */
import { parseFieldLine } from './event-format.ts';

export interface PageLayout {
  readonly timestampOffset: number;
  readonly commitOffset: number;
  /** Bytes of a `long`: the width of the commit word and of a stored loss count. */
  readonly longBytes: 4 | 8;
  readonly dataOffset: number;
  readonly pageSizeBytes: number;
}

/** Reads `header_page`; a string says what is wrong with it. */
export function parseHeaderPage(text: string): PageLayout | string {
  const fields = new Map(text.split('\n').flatMap((line) => toEntry(line)));
  const timestamp = fields.get('timestamp');
  const commit = fields.get('commit');
  const contents = fields.get('data');
  if (timestamp === undefined || commit === undefined || contents === undefined) {
    return 'header_page lacks timestamp, commit or data';
  }
  if (timestamp.sizeBytes !== 8) return `header_page: timestamp of ${timestamp.sizeBytes} bytes`;
  if (commit.sizeBytes !== 4 && commit.sizeBytes !== 8) return `header_page: commit of ${commit.sizeBytes} bytes`;
  const headEnd = Math.max(timestamp.offsetBytes + 8, commit.offsetBytes + commit.sizeBytes);
  if (contents.offsetBytes < headEnd) return `header_page: data at ${contents.offsetBytes} overlaps the fields before it`;
  return {
    timestampOffset: timestamp.offsetBytes,
    commitOffset: commit.offsetBytes,
    longBytes: commit.sizeBytes,
    dataOffset: contents.offsetBytes,
    pageSizeBytes: contents.offsetBytes + contents.sizeBytes,
  };
}

function toEntry(line: string): [string, { readonly offsetBytes: number; readonly sizeBytes: number }][] {
  const field = parseFieldLine(line);
  return field === undefined ? [] : [[field.name, field]];
}
