/** The hub's API over fetch: typed answers, and one error class that carries the hub's own words. */
import type { Problem } from '../../model/api.ts';

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: string;
  readonly hint: string;
  /** 0 = the hub did not answer. */
  readonly status: number;

  constructor(status: number, code: string, message: string, hint: string) {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint;
  }
}

export type QueryParams = Readonly<Record<string, string | number | undefined>>;

export function toApiPath(path: string, params: QueryParams = {}): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) if (value !== undefined && value !== '') query.set(key, String(value));
  const text = query.toString();
  return text === '' ? path : `${path}?${text}`;
}

export function getJson<Answer>(path: string, params?: QueryParams, signal?: AbortSignal): Promise<Answer> {
  return request<Answer>(toApiPath(path, params), signal ? { signal } : {});
}

export function postJson<Answer>(path: string, body: unknown, signal?: AbortSignal): Promise<Answer> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  return request<Answer>(path, signal ? { ...init, signal } : init);
}

export function isAborted(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(0, 'E_HUB_UNREACHABLE', 'The hub does not answer.', 'Start it with `mkscope up`; this page keeps trying.');
}

async function request<Answer>(path: string, init: RequestInit): Promise<Answer> {
  const response = await fetch(path, init);
  if (response.ok) return (await response.json()) as Answer;
  throw await readProblem(response);
}

async function readProblem(response: Response): Promise<ApiError> {
  const text = await response.text();
  try {
    const problem = JSON.parse(text) as Partial<Problem>;
    const message = problem.detail ?? problem.title ?? response.statusText;
    return new ApiError(response.status, problem.code ?? `HTTP ${response.status}`, message, problem.hint ?? '');
  } catch {
    return new ApiError(response.status, `HTTP ${response.status}`, text.slice(0, 300) || response.statusText, '');
  }
}
