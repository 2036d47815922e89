/**
 * Loads what an import has appended while the import goes on: one append is in the hands of ClickHouse, the next one is being read, and
 * no more than that waits. Without it a fast reader fills the spool to its bound before the first load is told to have ended.
 */
import type { Store } from '../store/store.ts';

export class ImportLoads {
  readonly #store: Store;
  #loading: Promise<void> = Promise.resolve();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Call after each append; waits while the one before is not loaded yet. */
  async appended(): Promise<void> {
    await this.#loading;
    // A load that fails is the store's to tell and to try again; what waits meanwhile is bounded by its spool.
    this.#loading = this.#store.flush().catch(() => undefined);
  }

  /** Waits for the last load that was begun. What came after it is the store's to load. */
  async finish(): Promise<void> {
    await this.#loading;
  }
}
