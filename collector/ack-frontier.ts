/** Through which frame everything is safe, when frames become safe in any order. */
export class AckFrontier {
  #session = 0;
  #through = 0;
  readonly #ahead = new Set<number>();

  /** Numbers start anew: the first that can come is `firstFrame`. */
  begin(session: number, firstFrame: number): void {
    this.#session = session;
    this.#through = firstFrame - 1;
    this.#ahead.clear();
  }

  get session(): number {
    return this.#session;
  }

  get through(): number {
    return this.#through;
  }

  /** These frames of that session are safe; returns true when the frontier moved. */
  finish(session: number, frames: readonly number[]): boolean {
    if (session !== this.#session) return false;
    for (const frame of frames) if (frame > this.#through) this.#ahead.add(frame);
    const before = this.#through;
    while (this.#ahead.delete(this.#through + 1)) this.#through++;
    return this.#through > before;
  }
}
