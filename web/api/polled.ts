/** What the hub answers to one question, asked again while the page is in sight; the last answer stays until the next one is there. */
import { useEffect, useState } from 'preact/hooks';
import { type ApiError, getJson, isAborted, type QueryParams, toApiError } from './client.ts';

export interface Polled<Answer> {
  readonly answer: Answer | undefined;
  readonly error: ApiError | undefined;
}

/**
 * `params` are made for each request, so that a range up to now moves with the time; `key` says when the question is another one:
 * the old answer is then kept in sight until the new one is there. Without a path nothing is asked; without `refreshMs` once.
 */
export function usePolled<Answer>(path: string | undefined, key: string, params: () => QueryParams, refreshMs?: number): Polled<Answer> {
  const [state, setState] = useState<Polled<Answer>>({ answer: undefined, error: undefined });
  useEffect(() => {
    if (path === undefined) {
      setState({ answer: undefined, error: undefined });
      return undefined;
    }
    const abort = new AbortController();
    let timer = 0;
    const load = async (): Promise<void> => {
      try {
        setState({ answer: await getJson<Answer>(path, params(), abort.signal), error: undefined });
      } catch (thrown) {
        if (isAborted(thrown)) return;
        const error = toApiError(thrown);
        setState(({ answer }) => ({ answer, error }));
      }
      waitAndLoad();
    };
    const waitAndLoad = (): void => {
      if (refreshMs === undefined || abort.signal.aborted) return;
      timer = window.setTimeout(() => (document.hidden ? waitAndLoad() : void load()), refreshMs);
    };
    void load();
    return () => {
      abort.abort();
      window.clearTimeout(timer);
    };
  }, [path, key, refreshMs]);
  return state;
}
