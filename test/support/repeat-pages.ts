/** Recordings as long as one likes, of short ones: their pages again and again, each time so many ns later. */
import { traceDat } from '../../parsers/trace-dat.ts';
import { toTestSource } from './event-file-suite.ts';
import { writeTraceDat } from './trace-dat-writer.ts';

/** `pages`: of one CPU, little-endian. */
export function repeatPages(pages: Uint8Array, pageSizeBytes: number, copies: number, stepNs: bigint): Uint8Array {
  const many = new Uint8Array(pages.length * copies);
  const view = new DataView(many.buffer);
  for (let i = 0; i < copies; i++) {
    many.set(pages, i * pages.length);
    for (let page = i * pages.length; page < (i + 1) * pages.length; page += pageSizeBytes)
      view.setBigUint64(page, view.getBigUint64(page, true) + BigInt(i) * stepNs, true);
  }
  return many;
}

/** A trace.dat, not compressed. */
export function repeatTraceDat(bytes: Uint8Array, copies: number, stepNs: bigint): Uint8Array {
  const { info, formats, streams } = traceDat.open(toTestSource(bytes));
  return writeTraceDat({
    formats,
    comms: Object.entries(info.comms)
      .map(([pid, comm]) => `${pid} ${comm}\n`)
      .join(''),
    kallsyms: Buffer.from(info.readKallsyms()).toString('latin1'),
    buffers: streams.map((stream) => ({
      instance: stream.instance,
      clock: stream.clockName,
      pageSizeBytes: stream.pageSizeBytes,
      cpus: stream.pages().map((sequence) => {
        const pages = sequence.take(1 << 24);
        return { cpu: sequence.cpu, pages: repeatPages(pages, stream.pageSizeBytes, copies, stepNs) };
      }),
    })),
  });
}
