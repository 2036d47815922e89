/** One observable value; a component re-renders when the part it selects changes. */
import { useEffect, useRef, useState } from 'preact/hooks';

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
  const part = select(store.get());
  // What is in sight, and how it was chosen: `select` may depend on what the component was given last.
  const shown = useRef({ part, select });
  shown.current = { part, select };
  const [, redraw] = useState(0);
  useEffect(() => {
    const update = (): void => {
      if (!Object.is(shown.current.select(store.get()), shown.current.part)) redraw((count) => count + 1);
    };
    update();
    return store.subscribe(update);
  }, [store]);
  return part;
}
