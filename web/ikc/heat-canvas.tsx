/** The latency picture on a canvas: says what is under the pointer, and a drag narrows the time range. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { IkcLatency } from '../../model/api.ts';
import { formatCount } from '../format/number.ts';
import { formatDuration, formatWall } from '../format/time.ts';
import { resolveColor } from '../parts/sparkline.tsx';
import { isDark, useAppState } from '../state/app-state.ts';
import { toDigits } from '../timeline/axis.ts';
import { countAt, type HeatPoint, type HeatScale, toBucketBounds, toHeatPoint, toHeatScale, toX } from './heat.ts';
import { type HeatColors, paintHeat, toHeatBox } from './paint-heat.ts';

const HEIGHT_PX = 260;
/** A shorter drag is a click. */
const MIN_DRAG_PX = 6;

interface Drag {
  readonly from: number;
  readonly to: number;
}

interface Hover {
  readonly point: HeatPoint;
  readonly x: number;
  readonly y: number;
}

function toColors(element: HTMLElement): HeatColors {
  const of = (variable: string): string => resolveColor(element, variable);
  return {
    text: of('--text-2'),
    faint: of('--line-faint'),
    ground: of('--surface'),
    cell: of('--accent'),
    middle: of('--text'),
    tail: of('--heat-tail'),
    bad: of('--bad'),
  };
}

export function HeatCanvas(props: {
  readonly latency: IkcLatency;
  readonly label: string;
  readonly onRange: (fromNs: bigint, toNs: bigint) => void;
}) {
  const { latency } = props;
  const host = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  const [hover, setHover] = useState<Hover | undefined>(undefined);
  const [drag, showDrag] = useState<Drag | undefined>(undefined);
  // Events may come faster than the page is drawn: what is drawn is not yet what was dragged.
  const dragged = useRef<Drag | undefined>(undefined);
  const setDrag = (next: Drag | undefined): void => {
    dragged.current = next;
    showDrag(next);
  };
  const theme = useAppState((state) => state.theme);
  const dark = isDark();
  useEffect(() => {
    const element = host.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    setWidth(element.clientWidth);
    return () => observer.disconnect();
  }, []);
  const scale = toHeatScale(latency, toHeatBox(width, HEIGHT_PX));
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext('2d');
    if (element === null || context === null || context === undefined || host.current === null || width === 0) return;
    const ratio = window.devicePixelRatio || 1;
    element.width = Math.round(width * ratio);
    element.height = Math.round(HEIGHT_PX * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    paintHeat(context, latency, scale, toColors(host.current));
  }, [latency, width, theme, dark]);

  const pointOf = (event: PointerEvent): Hover | undefined => {
    const box = canvas.current?.getBoundingClientRect();
    if (box === undefined) return undefined;
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const point = toHeatPoint(scale, x, y);
    return point === undefined ? undefined : { point, x, y };
  };
  const finishDrag = (): void => {
    const done = dragged.current;
    setDrag(undefined);
    if (done === undefined || Math.abs(done.to - done.from) < MIN_DRAG_PX) return;
    const [fromNs, toNs] = [Math.min(done.from, done.to), Math.max(done.from, done.to)].map((x) => toTimeNs(latency, scale, x));
    if (fromNs !== undefined && toNs !== undefined && toNs > fromNs) props.onRange(fromNs, toNs);
  };
  return (
    <div class="heat" ref={host}>
      <canvas
        ref={canvas}
        style={{ height: `${HEIGHT_PX}px` }}
        role="img"
        aria-label={props.label}
        onPointerDown={(event) => {
          const at = pointOf(event);
          if (at === undefined || event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          setDrag({ from: at.x, to: at.x });
        }}
        onPointerMove={(event) => {
          const at = pointOf(event);
          setHover(at);
          if (dragged.current !== undefined && at !== undefined) setDrag({ from: dragged.current.from, to: at.x });
        }}
        onPointerUp={finishDrag}
        onPointerCancel={() => setDrag(undefined)}
        onPointerLeave={() => setHover(undefined)}
      />
      {drag !== undefined && Math.abs(drag.to - drag.from) >= MIN_DRAG_PX && (
        <div
          class="heat-drag"
          style={{
            left: `${Math.min(drag.from, drag.to)}px`,
            width: `${Math.abs(drag.to - drag.from)}px`,
            top: `${scale.box.top}px`,
            height: `${scale.box.height}px`,
          }}
        />
      )}
      {hover !== undefined && <HeatNote latency={latency} hover={hover} scale={scale} width={width} />}
    </div>
  );
}

function toTimeNs({ fromUnixNs, stepNs, columns }: IkcLatency, { box }: HeatScale, x: number): bigint {
  const share = Math.min(1, Math.max(0, (x - box.left) / box.width));
  return BigInt(fromUnixNs) + BigInt(Math.round(share * columns * stepNs));
}

function HeatNote(props: { readonly latency: IkcLatency; readonly hover: Hover; readonly scale: HeatScale; readonly width: number }) {
  const { latency, scale, width } = props;
  const { column, bucket } = props.hover.point;
  const startNs = BigInt(latency.fromUnixNs) + BigInt(column) * BigInt(latency.stepNs);
  const digits = toDigits(latency.stepNs);
  const at = latency.series.column.indexOf(column);
  const matched = at < 0 ? 0 : (latency.series.matched[at] as number);
  const other = at < 0 ? 0 : (latency.series.other[at] as number);
  const left = toX(scale, column);
  return (
    <div class="heat-note" style={left > width / 2 ? { right: `${width - left + 10}px` } : { left: `${toX(scale, column + 1) + 10}px` }}>
      <strong>
        {formatWall(startNs, digits)} + {formatDuration(latency.stepNs)}
      </strong>
      {bucket !== undefined && (
        <span>
          {formatCount(countAt(latency, column, bucket))} took{' '}
          {bucket < 0
            ? 'none or less, by the clocks'
            : toBucketBounds(bucket, latency.bucketsPerDecade)
                .map((ns) => formatDuration(ns))
                .join(' … ')}
        </span>
      )}
      <span>
        {formatCount(matched)} matched
        {matched > 0 &&
          ` · p50 ${formatDuration(latency.series.p50Ns[at] as number)} · p99 ${formatDuration(latency.series.p99Ns[at] as number)}`}
      </span>
      {other > 0 && <span class="text-bad">{formatCount(other)} failed or with one end</span>}
    </div>
  );
}
