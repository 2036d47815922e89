/** One answer of the doctor. */
export type FindingStatus = 'ok' | 'warn' | 'fail';

export interface Finding {
  /** Stable, for scripts: `tracefs.mount`. */
  readonly id: string;
  readonly title: string;
  readonly status: FindingStatus;
  /** What was found. */
  readonly detail: string;
  /** What mkscope cannot do because of it; empty when nothing. */
  readonly effect: string;
  /** The command, or the step, that fixes it; empty when there is nothing to fix. */
  readonly fix: string;
}

export function ok(id: string, title: string, detail: string): Finding {
  return { id, title, status: 'ok', detail, effect: '', fix: '' };
}

export function warn(id: string, title: string, detail: string, effect: string, fix: string): Finding {
  return { id, title, status: 'warn', detail, effect, fix };
}

export function fail(id: string, title: string, detail: string, effect: string, fix: string): Finding {
  return { id, title, status: 'fail', detail, effect, fix };
}
