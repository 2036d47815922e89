/** `GET /api/incidents/:id`: an incident with what is around it: the kernels of its machine, how sure their clocks are, known losses. */
import { OperationalError } from '../base/errors.ts';
import type { IkcMessage, IncidentDetail, IncidentRow } from '../model/api.ts';
import { DEATH_KINDS } from '../model/incident.ts';
import { queryGaps } from '../store/queries/gaps.ts';
import { queryIkcMessages } from '../store/queries/ikc.ts';
import { findIncidents, queryWindowKernels } from '../store/queries/incidents.ts';
import type { Store } from '../store/store.ts';
import type { Recorders } from './recorders.ts';

/** What happened just before and after, on all kernels. */
const AROUND_NS = 5_000_000_000n;
/** Of an incident that goes on for long its beginning and this much is looked at. */
const MAX_WINDOW_NS = 600_000_000_000n;
const MAX_GAPS = 1_000;
const MAX_MESSAGES = 500;

export async function queryIncidentDetail(store: Store, recorders: Recorders, id: string): Promise<IncidentDetail> {
  if (!/^[0-9a-f]{4,64}$/.test(id)) {
    throw new OperationalError(
      'E_REQUEST',
      `${id} is no id of an incident`,
      'give four or more of its characters: mkscope incidents lists them',
    );
  }
  const [incident, ...more] = await findIncidents(store, id);
  if (incident === undefined) throw notFound(id);
  if (more.length > 0) throw new OperationalError('E_REQUEST', `more than one incident begins with ${id}`, 'give more of its id');
  const firstNs = BigInt(incident.firstUnixNs);
  const fromNs = firstNs - AROUND_NS;
  const lastNs = BigInt(incident.lastUnixNs);
  const toNs = (lastNs - firstNs > MAX_WINDOW_NS ? firstNs + MAX_WINDOW_NS : lastNs) + AROUND_NS;
  const window = { from: String(fromNs > 0n ? fromNs : 0n), to: String(toNs) };
  const kernels = await queryWindowKernels(store, incident.machineId, window.from, window.to);
  const gaps = await queryGaps(store, { ...window, boots: bootsAround(incident, kernels), limit: MAX_GAPS });
  const inFlight = await queryInFlight(store, incident, window);
  const recorded = recorders.ofIncident(incident.id);
  return { incident, ...window, kernels, gaps, inFlight, ...(recorded === undefined ? {} : { recorded }) };
}

/** Of its machine: a hub may have many. */
export function bootsAround({ bootId }: IncidentRow, kernels: IncidentDetail['kernels']): string[] {
  return [bootId, ...kernels.map((kernel) => kernel.bootId)].filter((one) => one !== '');
}

async function queryInFlight(
  store: Store,
  { machineId, kernelId, kind }: IncidentRow,
  window: { readonly from: string; readonly to: string },
): Promise<IkcMessage[]> {
  if (kernelId < 0) return [];
  const query = { ...window, machine: machineId, kernel: String(kernelId), state: 'unmatched,waiting', limit: MAX_MESSAGES };
  const messages = await queryIkcMessages(store, query);
  // What the matcher says of a kernel that died is sharper than that it saw no receiving.
  const isDeath = DEATH_KINDS.includes(kind);
  const isOpen = ({ state, reason }: IkcMessage): boolean =>
    state === 'waiting' || reason === 'kernel_died' || (reason === 'not_received' && !isDeath);
  return messages.filter((message) => message.sendUnixNs !== '' && isOpen(message)).reverse();
}

function notFound(id: string): OperationalError {
  return new OperationalError('E_NOT_FOUND', `there is no incident ${id}`, 'mkscope incidents lists them');
}
