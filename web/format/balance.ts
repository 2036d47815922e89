import type { LedgerRow } from '../../model/api.ts';
import { formatCount } from './number.ts';

/** The balance in words: what the numbers of a row mean. */
export function explainBalance(row: LedgerRow): string {
  if (row.state === 'uncounted') return 'The writer keeps no count, so only what arrived is known.';
  if (row.state === 'unbalanced') {
    const amount = formatCount(Math.abs(row.balance));
    return row.balance > 0
      ? `${amount} records were written and are in none of the other columns: they are missing without a reason.`
      : `${amount} records more are accounted for than the kernel says it wrote: counted twice, or its counter was reset.`;
  }
  const parts: string[] = [];
  if (row.lost > 0) parts.push(`${formatCount(row.lost)} lost before they could be read`);
  if (row.dropped > 0) parts.push(`${formatCount(row.dropped)} dropped by mkscope at a bound`);
  if (row.kept > 0) parts.push(`${formatCount(row.kept)} in the flight recorder`);
  if (row.overwritten > 0) parts.push(`${formatCount(row.overwritten)} fell out of the flight recorder before anybody asked`);
  if (row.inFlight > 0) parts.push(`${formatCount(row.inFlight)} on their way`);
  return parts.length === 0 ? 'Every record written is stored.' : `All accounted for: ${parts.join(', ')}.`;
}
