/** One line on standard error that shows how far a long step is; nothing where that is no terminal. */
import { formatBytes } from './units.ts';

const BAR_WIDTH = 24;
const REDRAW_MS = 100;

export class ProgressBar {
  readonly #isShown = process.stderr.isTTY;
  #drawnMs = 0;

  /** `total` 0 = not known. */
  update(what: string, bytes: number, total: number, detail = ''): void {
    const nowMs = performance.now();
    if (!this.#isShown || (nowMs - this.#drawnMs < REDRAW_MS && bytes < total)) return;
    this.#drawnMs = nowMs;
    const share = total > 0 ? Math.min(1, bytes / total) : 0;
    const filled = Math.round(share * BAR_WIDTH);
    const bar =
      total > 0 ? `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] ${String(Math.round(share * 100)).padStart(3)} %` : '';
    const line = `${what} ${bar} ${formatBytes(bytes)} ${detail}`.slice(0, (process.stderr.columns ?? 80) - 1);
    process.stderr.write(`\r\x1b[2K${line}`);
  }

  clear(): void {
    if (this.#isShown) process.stderr.write('\r\x1b[2K');
  }
}
