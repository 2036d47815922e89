/**
 * mkscope's own log: one line per event on standard error, `key=value` after the message, readable by a person and by
 * journald. `MKSCOPE_LOG=debug|info|warn|error` sets the least level that is written.
 */
const LEVELS = { debug: 0, info: 1, warn: 2, error: 3 } as const;
export type LogLevel = keyof typeof LEVELS;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export type LogFields = Readonly<Record<string, string | number | bigint | boolean | undefined>>;

/** A logger that names its component in each line. */
export function createLogger(component: string, least: LogLevel = levelFromEnvironment()): Logger {
  const write = (level: LogLevel, message: string, fields?: LogFields): void => {
    if (LEVELS[level] < LEVELS[least]) return;
    process.stderr.write(`${formatLine(level, component, message, fields)}\n`);
  };
  return {
    debug: (message, fields) => write('debug', message, fields),
    info: (message, fields) => write('info', message, fields),
    warn: (message, fields) => write('warn', message, fields),
    error: (message, fields) => write('error', message, fields),
  };
}

function levelFromEnvironment(): LogLevel {
  const wanted = process.env['MKSCOPE_LOG'] ?? 'info';
  return wanted in LEVELS ? (wanted as LogLevel) : 'info';
}

function formatLine(level: LogLevel, component: string, message: string, fields?: LogFields): string {
  let line = `${level.padEnd(5)} ${component}: ${message}`;
  for (const [key, value] of Object.entries(fields ?? {})) {
    if (value === undefined) continue;
    const text = String(value);
    line += ` ${key}=${/[\s"=]/.test(text) ? JSON.stringify(text) : text}`;
  }
  return line;
}
