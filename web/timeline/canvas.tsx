/** The timeline's canvas: pointer, wheel and keys move the model's view; one drawing per frame, and only when something changed. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { LEVELS } from '../format/level.ts';
import { resolveColor } from '../parts/sparkline.tsx';
import { isDark, useAppState } from '../state/app-state.ts';
import { isTyping } from '../state/keys.ts';
import { useStore } from '../state/store.ts';
import { Hover, type HoverTarget, targetAt } from './hover.tsx';
import { AXIS_PX, GUTTER_PX, type Layout, lanesBetween, MAP_PX, toLayout, toWantedHeight } from './layout.ts';
import { type TaskColor, toTaskColor } from './colors.ts';
import { paint, type Palette, toMapSpan } from './paint.ts';
import type { Picture } from './picture.ts';
import type { TimelineModel } from './timeline-model.ts';
import { panBy, toTime, zoomAt } from './viewport.ts';

/** Held keys: zoom by this factor and pan by this share of the view per second. */
const KEY_ZOOM_PER_S = 5;
const KEY_PAN_PER_S = 1.1;
const KEY_STEP_S = 0.06;
const CLICK_SLACK_PX = 3;

interface Drag {
  readonly kind: 'pan' | 'select' | 'map';
  readonly startX: number;
  readonly startY: number;
  lastX: number;
  moved: boolean;
}

export interface TimelineCanvasProps {
  readonly model: TimelineModel;
  readonly moment: number | undefined;
  readonly pinned: HoverTarget | undefined;
  readonly onPin: (target: HoverTarget | undefined) => void;
  /** The time under the pointer, for keys that act on it. */
  readonly pointerTime: { current: number | undefined };
}

function readPalette(element: HTMLElement): Palette {
  const color = (name: string): string => resolveColor(element, name);
  const style = getComputedStyle(document.documentElement);
  return {
    dark: isDark(),
    background: color('--surface'),
    lane: color('--lane'),
    text: color('--text'),
    muted: color('--text-2'),
    line: color('--line-faint'),
    accent: color('--accent'),
    selection: color('--selection'),
    bad: color('--bad'),
    sans: style.getPropertyValue('--sans'),
    mono: style.getPropertyValue('--mono'),
    levels: [...LEVELS.map((name) => color(`--lv-${name}`)), color('--text-2')],
  };
}

export function TimelineCanvas(props: TimelineCanvasProps) {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const theme = useAppState((state) => state.theme);
  const [hover, setHover] = useState<(HoverTarget & { readonly x: number; readonly y: number }) | undefined>(undefined);
  const lanes = useStore(props.model.state, (state) => state.picture?.lanes.length ?? 2);
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    const host = box.current;
    const element = canvas.current;
    if (host === null || element === null) return undefined;
    const stop = run(host, element, latest, setHover);
    return stop;
  }, [props.model, theme]);
  useEffect(() => {
    props.model.dirty = true;
  }, [props.pinned, props.moment]);

  return (
    <div class="tl-box" ref={box} style={{ height: `${toWantedHeight(lanes)}px` }}>
      <canvas
        ref={canvas}
        tabIndex={0}
        role="img"
        aria-label="Timeline: one lane per CPU. W and S zoom, A and D pan. The table below has the same figures."
      />
      {hover !== undefined && <Hover target={hover} x={hover.x} y={hover.y} model={props.model} />}
    </div>
  );
}

/** Wires one canvas up until the returned function is called. */
function run(
  host: HTMLDivElement,
  element: HTMLCanvasElement,
  latest: { current: TimelineCanvasProps },
  setHover: (hover: (HoverTarget & { x: number; y: number }) | undefined) => void,
): () => void {
  const { model } = latest.current;
  const context = element.getContext('2d', { alpha: false });
  if (context === null) return () => undefined;
  const palette = readPalette(host);
  const held = new Set<string>();
  const listening = new AbortController();
  const { signal } = listening;
  let layout: Layout = toLayout(host.clientWidth, host.clientHeight, 1);
  let pointer: { x: number; y: number; clientX: number; clientY: number } | undefined;
  let hovered: HoverTarget | undefined;
  let drag: Drag | undefined;
  let frame = 0;
  let colored: Picture | undefined;
  let colors: readonly TaskColor[] = [];
  const stillMotion = matchMedia('(prefers-reduced-motion: reduce)');
  let lastMs = performance.now();

  const resize = (): void => {
    const ratio = window.devicePixelRatio || 1;
    layout = toLayout(host.clientWidth, host.clientHeight, model.state.get().picture?.lanes.length ?? 1);
    model.widthPx = layout.plotPx;
    const [width, height] = [Math.round(layout.widthPx * ratio), Math.round(layout.heightPx * ratio)];
    if (element.width !== width || element.height !== height) {
      element.width = width;
      element.height = height;
      element.style.width = `${layout.widthPx}px`;
      element.style.height = `${layout.heightPx}px`;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    model.dirty = true;
  };
  const plotX = (x: number): number => x - GUTTER_PX;
  const timeAt = (x: number): number => toTime(model.view, layout.plotPx, plotX(x));

  const stepKeys = (seconds: number): void => {
    if (held.size === 0) return;
    const anchor = pointer !== undefined && pointer.x > GUTTER_PX ? timeAt(pointer.x) : (model.view.from + model.view.to) / 2;
    let { view } = model;
    if (held.has('w')) view = zoomAt(view, anchor, KEY_ZOOM_PER_S ** -seconds);
    if (held.has('s')) view = zoomAt(view, anchor, KEY_ZOOM_PER_S ** seconds);
    const pan = (held.has('d') ? 1 : 0) - (held.has('a') ? 1 : 0);
    if (pan !== 0) view = panBy(view, (view.to - view.from) * KEY_PAN_PER_S * seconds * pan);
    model.setView(view);
  };
  const draw = (nowMs: number): void => {
    frame = requestAnimationFrame(draw);
    const seconds = Math.min(0.1, (nowMs - lastMs) / 1000);
    lastMs = nowMs;
    stepKeys(seconds);
    const { picture, stored, selection, follow } = model.state.get();
    // With reduced motion the picture steps once a second instead of gliding.
    if (follow) model.advance(stillMotion.matches ? Math.floor(Date.now() / 1000) * 1000 : performance.timeOrigin + nowMs);
    if (!model.dirty) return;
    model.dirty = false;
    if ((picture?.lanes.length ?? 1) !== layout.lanes) resize();
    model.dirty = false;
    if (picture !== colored) {
      colored = picture;
      colors = picture?.comms.map((comm) => toTaskColor(comm, palette.dark)) ?? [];
    }
    const lit = hovered?.kind === 'slice' ? hovered : latest.current.pinned?.kind === 'slice' ? latest.current.pinned : undefined;
    paint(context, {
      origin: model.origin,
      view: model.view,
      layout,
      palette,
      picture,
      colors,
      visible: { top: host.scrollTop, bottom: host.scrollTop + host.clientHeight },
      stored,
      selection,
      pointerX: pointer?.x,
      lit: lit?.picture === picture ? lit : undefined,
      moment: latest.current.moment,
    });
  };
  const point = (event: PointerEvent): void => {
    const bounds = element.getBoundingClientRect();
    pointer = { x: event.clientX - bounds.left, y: event.clientY - bounds.top, clientX: event.clientX, clientY: event.clientY };
    latest.current.pointerTime.current = pointer.x > GUTTER_PX ? timeAt(pointer.x) : undefined;
    model.dirty = true;
  };
  const showHover = (): void => {
    const { picture } = model.state.get();
    hovered =
      pointer === undefined || picture === undefined || drag?.moved === true
        ? undefined
        : targetAt(picture, layout, model.view, pointer.x, pointer.y);
    setHover(hovered === undefined || pointer === undefined ? undefined : { ...hovered, x: pointer.clientX, y: pointer.clientY });
  };
  const dragTo = (current: Drag, x: number, y: number): void => {
    const { picture, stored } = model.state.get();
    if (current.kind === 'pan') model.setView(panBy(model.view, timeAt(current.lastX) - timeAt(x)));
    else if (current.kind === 'map' && stored !== undefined) {
      const center = toTime(toMapSpan(stored, model.view), layout.plotPx, plotX(x));
      model.setView(panBy(model.view, center - (model.view.from + model.view.to) / 2));
    } else if (current.kind === 'select') {
      const [from, to] = [timeAt(Math.min(current.startX, x)), timeAt(Math.max(current.startX, x))];
      const cpus = new Set(lanesBetween(layout, current.startY, y).map((index) => picture?.lanes[index]?.cpu ?? -1));
      model.select({ from, to, cpus: cpus.size > 0 ? cpus : new Set(picture?.lanes.map((lane) => lane.cpu)) });
    }
    current.lastX = x;
  };

  const observer = new ResizeObserver(resize);
  observer.observe(host);
  element.addEventListener(
    'pointerdown',
    (event) => {
      if (event.button !== 0) return;
      point(event);
      if (pointer === undefined) return;
      element.setPointerCapture(event.pointerId);
      const kind =
        pointer.y < MAP_PX ? 'map' : event.shiftKey || (pointer.y < MAP_PX + AXIS_PX && pointer.x > GUTTER_PX) ? 'select' : 'pan';
      drag = { kind, startX: pointer.x, startY: pointer.y, lastX: pointer.x, moved: kind === 'map' };
      if (kind === 'map') dragTo(drag, pointer.x, pointer.y);
    },
    { signal },
  );
  element.addEventListener(
    'pointermove',
    (event) => {
      point(event);
      if (drag !== undefined && pointer !== undefined) {
        drag.moved ||= Math.abs(pointer.x - drag.startX) > CLICK_SLACK_PX;
        if (drag.moved) dragTo(drag, pointer.x, pointer.y);
      }
      element.classList.toggle('is-dragging', drag?.moved === true && drag.kind === 'pan');
      showHover();
    },
    { signal },
  );
  element.addEventListener(
    'pointerup',
    () => {
      const clicked = drag !== undefined && !drag.moved;
      drag = undefined;
      element.classList.remove('is-dragging');
      showHover();
      if (clicked) {
        latest.current.onPin(hovered);
        if (hovered === undefined) model.select(undefined);
      }
    },
    { signal },
  );
  element.addEventListener(
    'pointerleave',
    () => {
      pointer = undefined;
      latest.current.pointerTime.current = undefined;
      showHover();
      model.dirty = true;
    },
    { signal },
  );
  element.addEventListener(
    'wheel',
    (event) => {
      if (event.ctrlKey && event.deltaY === 0) return;
      event.preventDefault();
      const lineScale = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      const sideways = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX;
      if (Math.abs(sideways) > Math.abs(event.deltaY) || event.shiftKey) {
        model.setView(panBy(model.view, ((sideways * lineScale) / layout.plotPx) * (model.view.to - model.view.from)));
      } else {
        const x = event.clientX - element.getBoundingClientRect().left;
        model.setView(zoomAt(model.view, timeAt(Math.max(GUTTER_PX, x)), Math.exp(event.deltaY * lineScale * 0.0016)));
      }
    },
    { signal, passive: false },
  );
  window.addEventListener(
    'keydown',
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || isTyping(event.target)) return;
      const key = event.key.toLowerCase();
      if (!['w', 'a', 's', 'd'].includes(key)) return;
      held.add(key);
      stepKeys(KEY_STEP_S);
    },
    { signal },
  );
  window.addEventListener('keyup', (event) => held.delete(event.key.toLowerCase()), { signal });
  host.addEventListener(
    'scroll',
    () => {
      model.dirty = true;
    },
    { signal, passive: true },
  );
  window.addEventListener('blur', () => held.clear(), { signal });
  const unsubscribe = model.state.subscribe(() => {
    model.dirty = true;
  });
  resize();
  frame = requestAnimationFrame(draw);
  return () => {
    listening.abort();
    observer.disconnect();
    unsubscribe();
    cancelAnimationFrame(frame);
  };
}
