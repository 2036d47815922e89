/**
 * The `format` file of a trace event (`events/<system>/<event>/format`): where each field of its records lies.
 *
 *   name: irq_handler_entry
 *   ID: 225                                                        +-- u16 that begins each record; per kernel and per boot
 *   format:
 *   	field:unsigned short common_type;	offset:0;	size:2;	signed:0;      common fields: the same for all events of a kernel,
 *   	field:int common_pid;	offset:4;	size:4;	signed:1;                 but for `common_type` absent in remote (hypervisor) events
 *                                                                 <-- blank line
 *   	field:unsigned long args[6];	offset:8;	size:48;	signed:0;       fixed array; the bound may be a name: size counts
 *   	field:__data_loc char[] name;	offset:56;	size:4;	signed:0;      u32: length << 16 | offset from the record's start
 *   	field:__rel_loc u8[] key;	offset:60;	size:4;	signed:0;          u32: length << 16 | offset from the end of this u32
 *   	field:char buf[];	offset:64;	size:0;	signed:0;                   flexible: to the end of the record
 *
 *   print fmt: "irq=%d name=%s", REC->irq, __get_str(name)        +-- kept verbatim; only asked which fields it shows as hex
 *
 * Not handled: evaluating the print format (export/print-fmt.ts does); bit fields (the kernel writes none); unions other than as plain bytes.
 * Kernel: kernel/trace/trace_events.c (f_show), include/trace/stages/.
 */

export type FieldShape = 'scalar' | 'fixed' | 'flexible' | 'data_loc' | 'rel_loc';

export interface FormatField {
  readonly name: string;
  /** As written, with the array bound behind it: `unsigned long[6]`, `__data_loc char[]`. */
  readonly type: string;
  /** Type of one element, without qualifiers and location words: `char`, `unsigned long`, `struct x *`. */
  readonly element: string;
  readonly shape: FieldShape;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
  readonly signed: boolean;
}

export interface EventFormat {
  readonly system: string;
  readonly event: string;
  /** `common_type` of its records: valid for one boot of one kernel. */
  readonly id: number;
  readonly common: readonly FormatField[];
  readonly fields: readonly FormatField[];
  /** What follows `print fmt: `, verbatim. */
  readonly printFormat: string;
}

/** Kernels stop at 128 arguments of a kprobe; the widest static event here has 44 fields. */
const MAX_FIELDS = 512;
/** The kernel stops at 64 where users name events (MAX_EVENT_NAME_LEN). */
const MAX_NAME_CHARS = 256;
/** Of a name in a message. */
const MAX_TOLD_NAME_CHARS = 100;
/** No sub-buffer is larger, so no field can be. */
const MAX_EXTENT_BYTES = 1 << 22;
/** Longest declaration here: 52 characters. Keeps the expressions below from backtracking over a hostile line. */
const MAX_DECLARATION_CHARS = 512;

export const ID_LINE = /^ID:\s*(\d+)/m;
const FIELD_LINE = /^\s*field:\s*([^;]+);\s*offset:\s*(\d+);\s*size:\s*(\d+);(?:\s*signed:\s*(\d+);)?/;
const FUNCTION_POINTER = /^(.*\(\s*\*+\s*)([A-Za-z_]\w*)(\s*\).*)$/;
const DECLARATION = /^(.*[\s*\]])([A-Za-z_]\w*)\s*(\[[^\]]*\](?:\s*\[[^\]]*\])*)?$/;

/** Field lines already read: of 21,000 in the formats of a kernel, 3,200 differ. */
export type FieldLines = Map<string, FormatField>;

/** Reads one format file; a string says what is wrong with it. */
export function parseEventFormat(text: string, system: string, lines: FieldLines = new Map()): EventFormat | string {
  const event = /^name:\s*(\S+)/m.exec(text)?.[1];
  const id = Number(ID_LINE.exec(text)?.[1] ?? Number.NaN);
  const where = `${system.slice(0, MAX_TOLD_NAME_CHARS)}:${event?.slice(0, MAX_TOLD_NAME_CHARS) ?? ''}`;
  if (event === undefined) return `${where} format without a name`;
  if (event.length > MAX_NAME_CHARS) return `${system.slice(0, MAX_TOLD_NAME_CHARS)}: format with a name of ${event.length} characters`;
  if (!(id >= 0 && id <= 0xffff)) return `${where}: format without an ID of 16 bits`;
  const fields = readFields(text, where, lines);
  if (typeof fields === 'string') return fields;
  const printAt = text.indexOf('\nprint fmt:');
  return {
    system,
    event,
    id,
    common: fields.filter((field) => field.name.startsWith('common_')),
    fields: fields.filter((field) => !field.name.startsWith('common_')),
    printFormat: printAt < 0 ? '' : text.slice(printAt + '\nprint fmt:'.length).trim(),
  };
}

function readFields(text: string, where: string, lines: FieldLines): FormatField[] | string {
  const printAt = text.indexOf('\nprint fmt:');
  const fields: FormatField[] = [];
  for (const line of (printAt < 0 ? text : text.slice(0, printAt)).split('\n')) {
    if (!line.trimStart().startsWith('field:')) continue;
    const field = lines.get(line) ?? parseFieldLine(line);
    if (field === undefined) return `${where}: field line not understood: ${line.trim().slice(0, 120)}`;
    lines.set(line, field);
    if (fields.push(field) > MAX_FIELDS) return `${where}: more than ${MAX_FIELDS} fields`;
  }
  // Fields of a record lie side by side; a format whose fields overlap would blow few bytes up into many columns.
  const extent = fields.reduce((end, field) => Math.max(end, field.offsetBytes + field.sizeBytes), 0);
  if (fields.reduce((sum, field) => sum + field.sizeBytes, 0) > 2 * extent) return `${where}: fields overlap`;
  return fields;
}

/** `field:char comm[16];	offset:8;	size:16;	signed:0;` → a field; header_page has lines of the same form. */
export function parseFieldLine(line: string): FormatField | undefined {
  const match = FIELD_LINE.exec(line);
  if (match === null || (match[1] as string).length > MAX_DECLARATION_CHARS) return undefined;
  const declared = parseDeclaration((match[1] as string).trim());
  const offsetBytes = Number(match[2]);
  const sizeBytes = Number(match[3]);
  if (declared === undefined || offsetBytes + sizeBytes > MAX_EXTENT_BYTES) return undefined;
  // Kernels before 2.6.32 write no `signed`.
  const signed = match[4] === undefined ? isSignedType(declared.element) : match[4] !== '0';
  const { name, type, element } = declared;
  return { name, type, element, shape: shapeOf(declared, sizeBytes), offsetBytes, sizeBytes, signed };
}

interface Declaration {
  readonly name: string;
  readonly type: string;
  readonly element: string;
  readonly isArray: boolean;
}

/** C declaration → name (the last identifier before a bound) and type. */
function parseDeclaration(text: string): Declaration | undefined {
  const pointer = FUNCTION_POINTER.exec(text);
  if (pointer !== null) {
    const type = `${pointer[1] as string}${pointer[3] as string}`;
    return { name: pointer[2] as string, type, element: 'void *', isArray: false };
  }
  const match = DECLARATION.exec(text);
  if (match === null) return undefined;
  const base = (match[1] as string).trim();
  const bound = match[3] ?? '';
  const element = base
    .replace(/\[[^\]]*\]/g, '')
    .replace(/\b(?:__data_loc|__rel_loc|const|volatile)\b/g, '')
    .replace(/\s+/g, ' ')
    .trim();
  return { name: match[2] as string, type: base + bound, element, isArray: bound !== '' || base.endsWith(']') };
}

function shapeOf(declared: Declaration, sizeBytes: number): FieldShape {
  // A location is one u32, in synthetic events with four bytes behind it; anything else by that name is not one.
  if (declared.type.includes('__data_loc') && (sizeBytes === 4 || sizeBytes === 8)) return 'data_loc';
  if (declared.type.includes('__rel_loc') && sizeBytes === 4) return 'rel_loc';
  if (!declared.isArray) return 'scalar';
  return sizeBytes === 0 ? 'flexible' : 'fixed';
}

/** Bytes of one element by its C name; undefined where the name does not say (structs, unknown typedefs). */
export function elementSizeBytes(element: string, longBytes: number): number | undefined {
  if (element.endsWith('*')) return longBytes;
  const width = /^(?:__)?(?:u|s|uint|int|le|be)(8|16|32|64)(?:_t)?$/.exec(element)?.[1];
  if (width !== undefined) return Number(width) / 8;
  if (/\blong long\b/.test(element)) return 8;
  if (/^(?:(?:un)?signed )?long(?: int)?(?: unsigned)?$|^(?:s?size_t|ino_t)$/.test(element)) return longBytes;
  if (/^(?:(?:un)?signed )?short\b/.test(element)) return 2;
  if (/^(?:(?:un)?signed )?char$|^bool$|^_Bool$/.test(element)) return 1;
  if (/^(?:(?:un)?signed(?: int)?|int)$|^enum |^(?:pid_t|dev_t|gfp_t|uid_t|gid_t|dma_cookie_t)$/.test(element)) return 4;
  if (/^(?:dma_addr_t|phys_addr_t|sector_t|loff_t|ktime_t)$/.test(element)) return 8;
  return undefined;
}

/** Used for elements behind a location, which the kernel marks unsigned whatever they are. */
export function isSignedType(element: string): boolean {
  return /^(?:(?:signed\b|int|short|long)(?!.*\bunsigned\b)|(?:__)?s(?:8|16|32|64)$|int(?:8|16|32|64)_t$|loff_t$|pid_t$|ssize_t$)/.test(
    element,
  );
}
