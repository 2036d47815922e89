/** The rows themselves: only those in sight are in the document, so that 200,000 scroll as easily as 20. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { LogRow } from '../../model/api.ts';
import { levelClass, levelName } from '../format/level.ts';
import { isReport } from '../format/report.ts';
import { formatCount } from '../format/number.ts';
import { splitMatches, toDisplayLine } from '../format/text.ts';
import { formatClockError, formatDateTime, formatDay, formatRaw, formatWall } from '../format/time.ts';
import type { LogFeed } from '../logs/log-feed.ts';
import { isAtEnd, scrollTopFor, toWindow } from '../logs/virtual-list.ts';
import { copyText } from '../parts/controls.tsx';
import { DownIcon } from '../parts/icons.tsx';
import { KernelTag } from '../parts/kernel-tag.tsx';
import { useApp } from '../state/app-state.ts';
import { useKeys } from '../state/keys.ts';
import { useStore } from '../state/store.ts';

/** Height of a row, px; --row-px in the style sheet is the same. */
const ROW_PX = 21;
/** Load more when the reader comes this near to an end. */
const AHEAD_PX = 1200;
const MAX_SHOWN_CHARS = 800;

interface LogListProps {
  readonly feed: LogFeed;
  /** The moment that is shown, decimal Unix ns, and the name of its row where it is known. */
  readonly at: string | undefined;
  readonly line: string | undefined;
  readonly raw: boolean;
  readonly highlight: RegExp | undefined;
  readonly selectedUid: string | undefined;
  readonly onSelect: (row: LogRow) => void;
  readonly onOpen: () => void;
  readonly onLive: () => void;
}

export function LogList(props: LogListProps) {
  const { feed } = props;
  const app = useApp();
  const state = useStore(feed.state, (now) => now);
  const box = useRef<HTMLDivElement>(null);
  const [scrollTop, setScrollTop] = useState(0);
  const [height, setHeight] = useState(600);
  const shown = useRef({ shift: 0, opens: 0 });
  const { rows } = feed.buffer;
  const win = toWindow(scrollTop, height, ROW_PX, rows.length);
  const atIndex = props.at === undefined ? -1 : feed.buffer.indexOfMoment(props.at, props.line);

  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  // After new rows: stay at the end, or keep the line that is being read where it is.
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const moved = state.shift - shown.current.shift;
    shown.current.shift = state.shift;
    if (rows.length === 0) return;
    // Told by the count: an answer may be here before it is drawn that others are awaited.
    if (shown.current.opens !== state.opens) {
      shown.current.opens = state.opens;
      feed.following = props.at === undefined;
      element.scrollTop = props.at === undefined ? element.scrollHeight : scrollTopFor(atIndex, 0, element.clientHeight, ROW_PX, true);
    } else if (feed.following) element.scrollTop = element.scrollHeight;
    else if (moved !== 0) element.scrollTop += moved * ROW_PX;
    setScrollTop(element.scrollTop);
  }, [state.version, state.loading]);

  const scrolled = (): void => {
    const element = box.current;
    if (element === null) return;
    setScrollTop(element.scrollTop);
    feed.following = props.at === undefined && isAtEnd(element.scrollTop, element.clientHeight, rows.length * ROW_PX, ROW_PX);
    if (feed.following) feed.clearUnseen();
    if (element.scrollTop < AHEAD_PX) void feed.loadOlder();
    if (element.scrollHeight - element.scrollTop - element.clientHeight < AHEAD_PX) void feed.loadNewer();
  };
  const toEnd = (): void => {
    if (props.at !== undefined) props.onLive();
    feed.following = true;
    feed.clearUnseen();
    if (box.current !== null) box.current.scrollTop = box.current.scrollHeight;
  };
  const selectedIndex = (): number => (props.selectedUid === undefined ? -1 : rows.findLastIndex((row) => row.uid === props.selectedUid));
  const move = (by: number): void => {
    const current = selectedIndex();
    const start = by > 0 ? win.from : win.to;
    const next = Math.max(0, Math.min(rows.length - 1, current < 0 ? start : current + by));
    const row = rows[next];
    if (row === undefined || box.current === null) return;
    props.onSelect(row);
    box.current.scrollTop = scrollTopFor(next, box.current.scrollTop, box.current.clientHeight, ROW_PX);
  };
  const withSelected = (action: (row: LogRow) => void): void => {
    const row = rows[selectedIndex()];
    if (row !== undefined) action(row);
  };
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    Enter: () => withSelected(props.onOpen),
    c: () => withSelected((row) => void copyText(toCopyLine(row))),
    t: () => withSelected((row) => app.go('timeline', { boot: row.bootId, at: row.unixNs })),
    End: toEnd,
    Home: () => {
      if (box.current !== null) box.current.scrollTop = 0;
    },
  });
  const firstInSight = rows[Math.min(rows.length - 1, Math.ceil(scrollTop / ROW_PX))];
  const dayInSight = firstInSight === undefined ? 'time' : formatDay(BigInt(firstInSight.unixNs));
  return (
    <>
      <div class={`log-head ${props.raw ? 'log-raw' : ''}`} aria-hidden="true">
        <span>{props.raw ? 'own stamp' : dayInSight}</span>
        <span>kernel</span>
        <span>level</span>
        <span>message</span>
      </div>
      <div
        class="log-list"
        ref={box}
        onScroll={scrolled}
        tabIndex={0}
        role="grid"
        aria-label="Log lines"
        aria-rowcount={rows.length}
        aria-busy={state.loading !== undefined}
      >
        <div class="log-space" style={{ height: `${win.totalPx}px` }}>
          <div class="log-window" style={{ transform: `translateY(${win.topPx}px)` }}>
            {rows.slice(win.from, win.to).map((row, index) => (
              <Line
                key={row.uid}
                row={row}
                previous={rows[win.from + index - 1]}
                raw={props.raw}
                highlight={props.highlight}
                isSelected={row.uid === props.selectedUid}
                isMoment={win.from + index === atIndex}
                onClick={() => {
                  props.onSelect(row);
                  props.onOpen();
                }}
              />
            ))}
          </div>
        </div>
      </div>
      {state.loading === 'first' && rows.length === 0 && <p class="log-loading muted">Loading …</p>}
      {state.unseen > 0 && (
        <button class="new-chip" type="button" onClick={toEnd} title="Go to the newest line and follow  ·  End">
          <DownIcon /> {formatCount(state.unseen)} new
        </button>
      )}
      {props.at !== undefined && (
        <button class="new-chip" type="button" onClick={toEnd} title="Go to the newest line and follow  ·  End">
          <DownIcon /> Live
        </button>
      )}
    </>
  );
}

export function toCopyLine(row: LogRow): string {
  return `${formatDateTime(BigInt(row.unixNs), 9)} ${row.kernelName} ${levelName(row.level)}: ${row.body}`;
}

/** A line that has a name: gaps and reports show that they have one by their looks. */
function isMessage(row: LogRow): boolean {
  return row.eventName !== '' && row.eventName !== 'mk.gap' && !isReport(row);
}

interface LineProps {
  readonly row: LogRow;
  readonly previous: LogRow | undefined;
  readonly raw: boolean;
  readonly highlight: RegExp | undefined;
  readonly isSelected: boolean;
  readonly isMoment: boolean;
  readonly onClick: () => void;
}

function Line({ row, previous, raw, highlight, isSelected, isMoment, onClick }: LineProps) {
  const unixNs = BigInt(row.unixNs);
  const day = formatDay(unixNs);
  const isNewDay = previous !== undefined && formatDay(BigInt(previous.unixNs)) !== day;
  const state = `${isSelected ? 'is-selected' : ''} ${isMoment ? 'is-moment' : ''} ${row.eventName === 'mk.gap' ? 'is-gap' : isReport(row) ? 'is-report' : ''}`;
  return (
    <div
      class={`log-row ${levelClass(row.level)} ${raw ? 'log-raw' : ''} ${state} ${isNewDay ? 'is-new-day' : ''}`}
      role="row"
      aria-selected={isSelected}
      onClick={onClick}
    >
      <time
        role="gridcell"
        title={`${formatDateTime(unixNs, 9)}  ${formatClockError(row.errorNs)}\nown stamp ${formatRaw(row.raw, row.clock)} (${row.clock || 'no clock'})`}
      >
        {raw ? formatRaw(row.raw, row.clock) : formatWall(unixNs, 6)}
      </time>
      <span role="gridcell">
        <KernelTag bootId={row.bootId} name={row.kernelName} title={`${row.kernelName}, kernel ${row.kernelId}, boot ${row.bootId}`} />
      </span>
      <span class="log-level" role="gridcell">
        {levelName(row.level)}
      </span>
      <span class="log-body" role="gridcell">
        {row.caller !== '' && <span class="log-caller">{toDisplayLine(row.caller, 24)} </span>}
        {splitMatches(toDisplayLine(row.body, MAX_SHOWN_CHARS), highlight).map((part, index) =>
          part.hit ? <mark key={index}>{part.text}</mark> : part.text,
        )}
        {isMessage(row) && <span class="log-event"> {toDisplayLine(row.eventName, 64)}</span>}
      </span>
    </div>
  );
}
