/** Ledger: for each stream, written by the kernel = stored + lost + dropped + in flight; and each loss on record. */
import type { GapRow, Ledger, LedgerRow } from '../../model/api.ts';
import { usePolled } from '../api/polled.ts';
import { explainBalance } from '../format/balance.ts';
import { formatCount } from '../format/number.ts';
import { toDisplayLine } from '../format/text.ts';
import { formatAge, formatDateTime, formatDuration, formatWall, parseUnixNs } from '../format/time.ts';
import { Empty, ErrorNote } from '../parts/controls.tsx';
import { KernelTag } from '../parts/kernel-tag.tsx';
import { useAppState } from '../state/app-state.ts';
import { formatRoute } from '../state/route.ts';

const REFRESH_MS = 2000;

export function LedgerView() {
  const { answer: ledger, error } = usePolled<Ledger>('/api/ledger', '', () => ({}), REFRESH_MS);
  const nowMs = useAppState((state) => state.asOfMs);
  if (ledger === undefined) return error === undefined ? <p class="muted page-note">Adding up …</p> : <ErrorNote error={error} />;
  return (
    <div class="ledger">
      {error !== undefined && <ErrorNote error={error} />}
      <section aria-labelledby="ledger-balance">
        <h2 class="section-title" id="ledger-balance">
          Balance of each stream
          <small>written by the kernel = stored + lost + dropped + in flight</small>
        </h2>
        {ledger.rows.length === 0 ? (
          <Empty title="No stream has been counted yet" command="mkscope up">
            Collectors report their counts with each batch; the books open with the first.
          </Empty>
        ) : (
          <BalanceTable rows={ledger.rows} nowMs={nowMs} />
        )}
      </section>
      <section aria-labelledby="ledger-gaps">
        <h2 class="section-title" id="ledger-gaps">
          Gaps
          <small>{ledger.gaps.length === 0 ? 'none: nothing is known to be lost' : 'newest first; each is hatched on the timeline'}</small>
        </h2>
        {ledger.gaps.length > 0 && <GapTable gaps={ledger.gaps} />}
      </section>
    </div>
  );
}

const STATE_TONE = { balanced: 'good', unbalanced: 'bad', uncounted: 'idle' } as const;

function BalanceTable({ rows, nowMs }: { readonly rows: readonly LedgerRow[]; readonly nowMs: number }) {
  return (
    <div class="table-scroll">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Kernel</th>
            <th scope="col">Stream</th>
            <th scope="col" class="num" title="As the kernel counts">
              Written
            </th>
            <th scope="col" class="num" title="Rows in the store">
              Stored
            </th>
            <th scope="col" class="num" title="Overwritten or dropped by the kernel before they were read">
              Lost
            </th>
            <th scope="col" class="num" title="Given up by mkscope, because a queue or the disk was at its bound">
              Dropped
            </th>
            <th
              scope="col"
              class="num"
              title="In the flight recorder of the collector: sent when an incident or somebody asks for its time"
            >
              Kept
            </th>
            <th scope="col" class="num" title="Read and not stored yet, or still in the kernel's buffer">
              In flight
            </th>
            <th scope="col" class="num" title="Written minus all the others: must be 0">
              Balance
            </th>
            <th scope="col">State</th>
            <th scope="col" class="wide">
              In words
            </th>
            <th scope="col" class="num">
              As of
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => {
            const asOf = parseUnixNs(row.asOfUnixNs);
            return (
              <tr key={`${row.bootId} ${row.stream} ${row.cpu}`}>
                <td>
                  <KernelTag bootId={row.bootId} name={row.kernelName} title={`boot ${row.bootId} on ${row.machine}`} />
                </td>
                <td class="mono">
                  {row.stream}
                  {row.cpu >= 0 && <span class="muted"> · CPU {row.cpu}</span>}
                </td>
                <td class="num">{row.written < 0 ? <span class="muted">–</span> : formatCount(row.written)}</td>
                <td class="num">{formatCount(row.stored)}</td>
                <Loss count={row.lost} />
                <Loss count={row.dropped} />
                <td class="num">{formatCount(row.kept)}</td>
                <td class="num">{formatCount(row.inFlight)}</td>
                <td class={`num ${row.state === 'unbalanced' ? 'text-bad' : ''}`}>
                  {row.state === 'uncounted' ? <span class="muted">–</span> : formatCount(row.balance)}
                </td>
                <td>
                  <span class={`state state-${STATE_TONE[row.state]}`}>
                    <span class={`dot dot-${STATE_TONE[row.state]}`} aria-hidden="true" />
                    {row.state}
                  </span>
                </td>
                <td class="wide muted">{explainBalance(row)}</td>
                <td class="num muted">{asOf === undefined ? '–' : formatAge(asOf, nowMs)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Loss({ count }: { readonly count: number }) {
  return <td class={`num ${count > 0 ? 'text-bad' : ''}`}>{count === 0 ? <span class="muted">0</span> : formatCount(count)}</td>;
}

function GapTable({ gaps }: { readonly gaps: readonly GapRow[] }) {
  return (
    <div class="table-scroll">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col" class="num">
              Window
            </th>
            <th scope="col">Kernel</th>
            <th scope="col">Stream</th>
            <th scope="col" class="num">
              Lost
            </th>
            <th scope="col">Reason</th>
            <th scope="col" class="wide" />
            <th scope="col" />
          </tr>
        </thead>
        <tbody>
          {gaps.map((gap) => {
            const from = parseUnixNs(gap.fromUnixNs) ?? 0n;
            const to = parseUnixNs(gap.toUnixNs) ?? from;
            return (
              <tr key={`${gap.bootId} ${gap.stream} ${gap.cpu} ${gap.fromUnixNs} ${gap.reason}`}>
                <td class="mono" title={formatDateTime(from, 9)}>
                  {formatWall(from, 6)}
                </td>
                <td class="num" title={`until ${formatDateTime(to, 9)}`}>
                  {to > from ? formatDuration(Number(to - from)) : 'a moment'}
                </td>
                <td>
                  <KernelTag bootId={gap.bootId} name={gap.kernelName} />
                </td>
                <td class="mono">
                  {gap.stream}
                  {gap.cpu >= 0 && <span class="muted"> · CPU {gap.cpu}</span>}
                </td>
                <td class="num text-bad">{gap.count < 0 ? 'unknown' : formatCount(gap.count)}</td>
                <td>{gap.reason.replaceAll('_', ' ')}</td>
                <td class="wide muted">{toDisplayLine(gap.detail, 200)}</td>
                <td class="num">
                  <a
                    href={formatRoute('timeline', {
                      boot: gap.bootId,
                      from: (from - 50_000_000n).toString(),
                      to: (to + 50_000_000n).toString(),
                    })}
                  >
                    timeline
                  </a>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
