/** What every `-f` does: goes on when the hub comes back, until SIGINT or SIGTERM. */
import { setTimeout as sleep } from 'node:timers/promises';

import { isOperational } from '../base/errors.ts';
import { abortOnSignal } from './stop-signal.ts';
import { printNotice } from './terminal.ts';

const RETRY_MS = { first: 250, most: 5000 };

export interface Attempt {
  readonly signal: AbortSignal;
  /** The hub has not answered yet. */
  readonly isFirst: boolean;
  /** To be called when it has. */
  readonly connected: () => void;
}

/**
 * Runs `attempt` again, after growing pauses, whenever it ends or the hub is lost, and says so: once for several times, and when the
 * hub has answered again. Throws what is wrong otherwise, and when the hub cannot be reached at the start: a wrong query stays wrong,
 * and a hub that was never there is not waited for.
 */
export async function followHub(url: string, attempt: (state: Attempt) => Promise<void>): Promise<number> {
  const signal = abortOnSignal();
  let waitMs = RETRY_MS.first;
  let isFirst = true;
  let isLost = false;
  const connected = (): void => {
    if (isLost) printNotice('connected again');
    isFirst = false;
    isLost = false;
    waitMs = RETRY_MS.first;
  };
  const lost = (why: string): void => {
    if (!isLost) printNotice(`${why}; waiting for it`);
    isLost = true;
  };
  while (!signal.aborted) {
    try {
      await attempt({ signal, isFirst, connected });
      if (!signal.aborted) lost(`the hub at ${url} ended the stream`);
    } catch (error) {
      if (signal.aborted) break;
      if (isFirst || !isOperational(error) || error.code !== 'E_HUB_UNREACHABLE') throw error;
      lost(error.message);
    }
    await pause(waitMs, signal);
    waitMs = Math.min(waitMs * 2, RETRY_MS.most);
  }
  return 0;
}

/** Ends early when `signal` does. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return sleep(ms, undefined, { signal }).catch(() => undefined);
}
