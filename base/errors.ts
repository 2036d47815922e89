/**
 * Every error an operator can meet, in one table: the code, and what it means. `docs/errors.md` is written from it.
 * A bug is not here (see assert.ts), and neither are bad input bytes: those are counted, not thrown.
 */
export const ERROR_CODES = {
  E_NODE_VERSION: 'The Node that runs mkscope is too old.',
  E_ARGS: 'The command line is wrong.',
  E_CONFIG_READ: 'The configuration file cannot be read.',
  E_CONFIG_SYNTAX: 'The configuration file is not valid YAML.',
  E_CONFIG_KEY: 'The configuration has a key that mkscope does not know.',
  E_CONFIG_VALUE: 'A configuration value is out of its range or of the wrong type.',
  E_DATA_LOCKED: 'Another process holds the data folder.',
  E_DATA_DIR: 'The data folder cannot be created or written.',
  E_DISK_FULL: 'The disk that holds the data or spool folder is full.',
  E_STORE_OPEN: 'The embedded store or the ClickHouse server cannot be opened.',
  E_STORE_QUERY: 'ClickHouse refused a query.',
  E_STORE_MIGRATION: 'A schema migration failed.',
  E_STORE_BUSY: 'The store cannot take more data now; the sender keeps it and retries.',
  E_QUERY_READONLY: 'The query would write; only reading is allowed here.',
  E_QUERY_LIMIT: 'The query ran over its time, row or memory limit.',
  E_PORT_IN_USE: 'The address is taken by another process.',
  E_LISTEN: 'The address cannot be listened on.',
  E_HUB_UNREACHABLE: 'The hub does not answer.',
  E_HUB_REFUSED: 'The hub answered with an error.',
  E_TRACEFS_MISSING: 'tracefs is not mounted or the kernel has no tracing.',
  E_TRACEFS_PERMISSION: 'No permission to use tracefs.',
  E_TRACEFS_CLOCK: 'The kernel does not have the trace clock that is configured.',
  E_KMSG_PERMISSION: 'No permission to read /dev/kmsg.',
  E_KMSG_OPEN: '/dev/kmsg cannot be opened.',
  E_SOURCE_OPEN: 'A source cannot be opened.',
  E_SPOOL: 'The spool folder cannot be used.',
  E_INPUT_FORMAT: 'No parser recognises the file.',
  E_INPUT_READ: 'The input file cannot be read.',
  E_OUTPUT_WRITE: 'The output file cannot be written.',
  E_REQUEST: 'The request is malformed.',
  E_BODY_TOO_LARGE: 'The request body is over the limit after decompression.',
  E_MEDIA_TYPE: 'The content type or content encoding is not supported.',
  E_FORMAT_SET_UNKNOWN: 'The segment names an event format set that the hub does not hold.',
  E_LAB_TOOLS: 'The machine lacks a program, memory or the architecture that the lab needs.',
  E_LAB_KERNEL: 'A kernel package for the lab cannot be found, downloaded or unpacked.',
  E_LAB_BUILD: 'A kernel module or program of the lab cannot be built.',
  E_LAB_BOOT: 'A kernel of the lab does not come up.',
  E_LAB_RUNNING: 'A lab of this name is running already.',
  E_LAB_ABSENT: 'No lab of this name is running.',
  E_LAB_FAULT: 'The lab cannot do what was asked of it.',
  E_NOT_FOUND: 'There is nothing under this address.',
  E_UNAUTHENTICATED: 'The request carries no valid credential.',
  E_IDENTITY_TAKEN: 'The boot id that the sender names is that of another kernel, which speaks.',
  E_FORBIDDEN: 'The credential or the address it came to does not allow the request.',
  E_INTERNAL: 'mkscope met a bug of its own; the log of the hub has the stack.',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** The outside world said no: what happened (message), where (message), and what to do (hint). */
export class OperationalError extends Error {
  override readonly name = 'OperationalError';
  readonly code: ErrorCode;
  readonly hint: string;

  constructor(code: ErrorCode, message: string, hint: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.hint = hint;
  }
}

/** True for errors that an operator can act on; anything else that reaches a process handler is a bug. */
export function isOperational(error: unknown): error is OperationalError {
  return error instanceof OperationalError;
}

/** The `code` of a Node system error (`ENOENT`, `EACCES`, …), or undefined. */
export function errnoOf(error: unknown): string | undefined {
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}

/** One line about an unknown thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
