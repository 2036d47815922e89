/** How a service is told to stop: the first SIGINT or SIGTERM asks, the second one no longer waits. */
export interface StopSignal {
  /** Resolves with what asked for the stop. */
  readonly asked: Promise<string>;
  /** Called on the second signal, before the process ends. */
  onForced: () => void;
  /** Asks from inside. */
  ask(reason: string): void;
}

/** As a shell reports a process that a signal ended. */
const FORCED_EXIT = 130;

export function watchStopSignals(): StopSignal {
  const { promise, resolve } = Promise.withResolvers<string>();
  const stop: StopSignal = { asked: promise, onForced: () => undefined, ask: resolve };
  let count = 0;
  const onSignal = (signal: string): void => {
    if (++count === 1) return resolve(signal);
    stop.onForced();
    process.exit(FORCED_EXIT);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  return stop;
}

/** For what only reads: the first signal asks, the second one ends the process as it always does. */
export function abortOnSignal(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  return stop.signal;
}
