/** An incident as the API's row. */
import type { IncidentRow } from '../model/api.ts';
import type { Incident } from '../model/incident.ts';

export function toIncidentRow({ firstUnixNs, lastUnixNs, resolvedUnixNs, ...rest }: Incident, lastWords: readonly string[]): IncidentRow {
  return {
    ...rest,
    firstUnixNs: String(firstUnixNs),
    lastUnixNs: String(lastUnixNs),
    resolvedUnixNs: resolvedUnixNs === undefined ? '' : String(resolvedUnixNs),
    lastWords,
  };
}
