/** Kernel log levels and what OpenTelemetry makes of them (semantic conventions: syslog → SeverityNumber). */
export const LEVEL_UNKNOWN = 255;

/** Index = kernel level 0 … 7. */
export const LEVEL_NAMES = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug'] as const;
export type LevelName = (typeof LEVEL_NAMES)[number];

const SEVERITY_NUMBER = [21, 19, 18, 17, 13, 10, 9, 5] as const;
const SEVERITY_TEXT = ['FATAL', 'ERROR3', 'ERROR2', 'ERROR', 'WARN', 'INFO2', 'INFO', 'DEBUG'] as const;

/** OTLP severity number of a kernel level; 0 (unspecified) for an unknown one. */
export function toSeverityNumber(level: number): number {
  return SEVERITY_NUMBER[level] ?? 0;
}

/** OTLP severity text of a kernel level; empty for an unknown one. */
export function toSeverityText(level: number): string {
  return SEVERITY_TEXT[level] ?? '';
}

/** Kernel level of an OTLP severity number: the least severe level that is at least as severe. */
export function toLevel(severityNumber: number): number {
  if (severityNumber <= 0) return LEVEL_UNKNOWN;
  if (severityNumber >= 21) return 0;
  if (severityNumber >= 19) return 1;
  if (severityNumber === 18) return 2;
  if (severityNumber === 17) return 3;
  if (severityNumber >= 13) return 4;
  if (severityNumber >= 10) return 5;
  if (severityNumber === 9) return 6;
  return 7;
}

/** Accepts `err`, `error`, `warning`, `3`, … ; undefined when it names no level. */
export function parseLevel(text: string): number | undefined {
  const name = text.toLowerCase();
  if (/^[0-7]$/.test(name)) return Number(name);
  const alias: Readonly<Record<string, number>> = { error: 3, warning: 4, critical: 2, panic: 0, emergency: 0, fatal: 0 };
  const index = (LEVEL_NAMES as readonly string[]).indexOf(name);
  return index >= 0 ? index : alias[name];
}
