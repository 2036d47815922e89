/** A minute of one ratio as a small uPlot area: no axes, the scale is always 0 … 100 %. */
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { isDark, useAppState } from '../state/app-state.ts';

const HEIGHT_PX = 34;
const WINDOW_S = 60;

/** Any CSS colour expression as the browser resolves it for the theme in use, for canvases. */
export function resolveColor(element: HTMLElement, variable: string): string {
  const before = element.style.color;
  element.style.color = `var(${variable})`;
  const color = getComputedStyle(element).color;
  element.style.color = before;
  return color;
}

function toColumns(history: readonly (readonly [number, number])[]): uPlot.AlignedData {
  return [history.map(([ms]) => ms / 1000), history.map(([, value]) => value)];
}

function open(host: HTMLElement, history: readonly (readonly [number, number])[]): uPlot {
  const stroke = resolveColor(host, '--accent');
  const fill = resolveColor(host, '--accent-faint');
  return new uPlot(
    {
      width: Math.max(40, host.clientWidth),
      height: HEIGHT_PX,
      padding: [2, 0, 1, 0],
      legend: { show: false },
      cursor: { show: false },
      axes: [{ show: false }, { show: false }],
      scales: {
        x: { range: (_chart, _min, max) => [max - WINDOW_S, max] },
        y: { range: [0, 1] },
      },
      series: [{}, { stroke, fill, width: 1.25, points: { show: false } }],
    },
    toColumns(history),
    host,
  );
}

export function Sparkline({ history, label }: { readonly history: readonly (readonly [number, number])[]; readonly label: string }) {
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  const theme = useAppState((state) => state.theme);
  const latest = useRef(history);
  latest.current = history;
  const dark = isDark();
  useEffect(() => {
    const element = host.current;
    if (element === null) return undefined;
    chart.current = open(element, latest.current);
    const observer = new ResizeObserver(() => chart.current?.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      chart.current?.destroy();
      chart.current = undefined;
    };
  }, [theme, dark]);
  useEffect(() => chart.current?.setData(toColumns(history)), [history]);
  return <div class="sparkline" ref={host} role="img" aria-label={label} />;
}
