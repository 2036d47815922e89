import type { LevelName } from '../../model/severity.ts';

/** Index = kernel level. model/severity.ts has the same table; the page may import only its types. */
export const LEVELS: readonly LevelName[] = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug'];

export function levelName(level: number): string {
  return LEVELS[level] ?? '–';
}

/** CSS class that colours a level. */
export function levelClass(level: number): string {
  const name = LEVELS[level];
  return name === undefined ? 'lv-none' : level <= 2 ? 'lv-crit' : `lv-${name}`;
}
