/** Lost data, newest last. */
import type { GapRow } from '../../model/api.ts';
import { GAP_REASONS } from '../../model/gap.ts';
import type { Store } from '../store.ts';
import { Conditions } from './conditions.ts';

const DEFAULT_LIMIT = 1_000;

export interface GapQuery {
  readonly from?: string;
  readonly to?: string;
  readonly kernel?: string;
  readonly boot?: string;
  readonly boots?: readonly string[];
  readonly limit?: number;
}

/** Gaps that touch the window. */
export async function queryGaps(store: Store, query: GapQuery): Promise<GapRow[]> {
  const where = new Conditions().addKernel(query.kernel).addEqual('BootId', 'boot', 'String', query.boot).addBoots(query.boots);
  if (query.from !== undefined) where.add('ToTime >= fromUnixTimestamp64Nano({fromNs:Int64})', { fromNs: query.from });
  if (query.to !== undefined) where.add('FromTime <= fromUnixTimestamp64Nano({toNs:Int64})', { toNs: query.to });
  const rows = await store.query<Omit<GapRow, 'detail'>>(
    `SELECT KernelName AS kernelName, KernelId AS kernelId, BootId AS bootId, Stream AS stream, Cpu AS cpu,
       toString(toUnixTimestamp64Nano(FromTime)) AS fromUnixNs, toString(toUnixTimestamp64Nano(ToTime)) AS toUnixNs,
       toFloat64(Count) AS count, Reason AS reason
     FROM gaps${where.toSql()} ORDER BY FromTime DESC, ToTime DESC, stream, cpu LIMIT ${query.limit ?? DEFAULT_LIMIT}`,
    where.toOptions(),
  );
  return rows.reverse().map((row) => Object.assign(row, { detail: detailOf(row.reason) }));
}

function detailOf(reason: string): string {
  return reason in GAP_REASONS ? GAP_REASONS[reason as keyof typeof GAP_REASONS] : reason;
}
