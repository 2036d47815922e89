/** One observable value; a component re-renders when the part it selects changes. */
import { useEffect, useState } from 'preact/hooks';

export class Store<State extends object> {
  #state: State;
  readonly #listeners = new Set<() => void>();

  constructor(initial: State) {
    this.#state = initial;
  }

  get(): State {
    return this.#state;
  }

  set(patch: Partial<State>): void {
    this.#state = { ...this.#state, ...patch };
    for (const listener of this.#listeners) listener();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

export function useStore<State extends object, Part>(store: Store<State>, select: (state: State) => Part): Part {
  const [part, setPart] = useState(() => select(store.get()));
  useEffect(() => {
    const update = (): void => setPart(() => select(store.get()));
    update();
    return store.subscribe(update);
    // `select` is a pure projection: a new closure each render does not need a new subscription.
  }, [store]);
  return part;
}
