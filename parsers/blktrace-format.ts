/**
 * Records of the tracer blk (`struct blk_io_trace`), of which tracefs has no format file. trace-cmd takes the type behind that of
 * `ftrace:user_stack` for theirs, and makes a format up; so do we.
 *
 *   head 8 | time 8 | sector 8 | bytes 4 | action 4 | pid 4 | device 4 | cpu 4 | error 2 | pdu_len 2 | [cgroup 8] what follows
 *
 * Source: kernel include/uapi/linux/blktrace_api.h, kernel/trace/trace.h (enum trace_type); trace-cmd 3.1 lib/trace-cmd/trace-blk-hack.c.
 */
const BEFORE = 'user_stack';

/** The type of the records; undefined where the formats do not tell. */
export function findBlktraceId(events: readonly { readonly system: string; readonly format: string }[]): number | undefined {
  const before = events.find(({ system, format }) => system === 'ftrace' && format.startsWith(`name: ${BEFORE}\n`));
  const id = /^ID:\s*(\d{1,5})/m.exec(before?.format ?? '')?.[1];
  return id === undefined ? undefined : Number(id) + 1;
}

const FIELDS = [
  'unsigned short common_type 0 2',
  'unsigned char common_flags 2 1',
  'unsigned char common_preempt_count 3 1',
  'int common_pid 4 4',
  '',
  'u64 sector 16 8',
  'int bytes 24 4',
  'int action 28 4',
  'int pid 32 4',
  'int device 36 4',
  'int cpu 40 4',
  'short error 44 2',
  'short pdu_len 46 2',
];

/** `asBytes`: what follows the struct as bytes; else as trace-cmd has it, which shows 0. */
export function writeBlktraceFormat(id: number, asBytes: boolean): string {
  const lines = [...FIELDS, `${asBytes ? '__u8 data[]' : 'void data'} 48 0`].map((field) =>
    field.replace(/^(.+) (\d+) (\d+)$/, '\tfield:$1;\toffset:$2;\tsize:$3;\tsigned:0;'),
  );
  return `name: blktrace\nID: ${id}\nformat:\n${lines.join('\n')}\n\nprint fmt: "%d", REC->pid\n`;
}
