/** Durations, sizes and counts as people write and read them. */
const DURATION_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const SIZE_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1024,
  kb: 1000,
  kib: 1024,
  m: 1024 ** 2,
  mb: 1000 ** 2,
  mib: 1024 ** 2,
  g: 1024 ** 3,
  gb: 1000 ** 3,
  gib: 1024 ** 3,
  t: 1024 ** 4,
  tb: 1000 ** 4,
  tib: 1024 ** 4,
};

/** `500ms`, `5m`, `1h30m`, `2d`; undefined when it is none. */
export function parseDurationMs(text: string): number | undefined {
  const ms = sumMs(text);
  return ms === undefined ? undefined : Math.round(ms);
}

/** `250us`, `10ms`, `1.5s`, `1m30s`, as ns; undefined when it is none. */
export function parseDurationNs(text: string): number | undefined {
  const small = /^(\d+(?:\.\d+)?)(ns|us|µs)$/.exec(text);
  if (small !== null) return Math.round(Number(small[1]) * (small[2] === 'ns' ? 1 : 1e3));
  const ms = sumMs(text);
  return ms === undefined ? undefined : Math.round(ms * 1e6);
}

function sumMs(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d|w))+$/.test(text)) return undefined;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d|w)/g)];
  return parts.reduce((sum, [, value, unit]) => sum + Number(value) * (DURATION_MS[unit as string] as number), 0);
}

/** `4096`, `64MiB`, `1.5G`; undefined when it is none. */
export function parseSizeBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const unit = match === null ? undefined : SIZE_BYTES[(match[2] as string).toLowerCase()];
  return match === null || unit === undefined ? undefined : Math.round(Number(match[1]) * unit);
}

/** `1.5 GiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `12,345`. */
export function formatCount(count: number): string {
  return Math.round(count)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Per second, with as many digits as say something: `0.2`, `15`, `12,345`. */
export function formatRate(perSecond: number): string {
  return perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : formatCount(perSecond);
}

/** `3d 4h`, `12m 5s`, `0.4s`: the two largest units. */
export function formatSeconds(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)}s`;
  const whole = Math.floor(seconds);
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  return parts
    .slice(first, first + 2)
    .filter(([value], i) => i === 0 || value > 0)
    .map(([value, unit]) => `${value}${unit}`)
    .join(' ');
}

/** Half-width of a time bound: `±340 ns`, `±1.2 ms`; `±?` where it is not known. */
export function formatErrorNs(errorNs: number): string {
  if (errorNs < 0) return '±?';
  const units: readonly (readonly [ns: number, name: string])[] = [
    [1e9, 's'],
    [1e6, 'ms'],
    [1e3, 'µs'],
    [1, 'ns'],
  ];
  const [ns, name] = units.find(([least]) => errorNs >= least) ?? [1, 'ns'];
  const value = errorNs / ns;
  return `±${value >= 10 || ns === 1 ? Math.round(value) : value.toFixed(1)} ${name}`;
}

/** A duration, three digits and a unit: `12.3 µs`. */
export function formatNs(ns: number): string {
  const size = Math.abs(ns);
  if (size < 1e3) return `${ns.toFixed(0)} ns`;
  if (size < 1e6) return `${(ns / 1e3).toFixed(size < 1e5 ? 1 : 0)} µs`;
  if (size < 1e9) return `${(ns / 1e6).toFixed(size < 1e8 ? 1 : 0)} ms`;
  return `${(ns / 1e9).toFixed(1)} s`;
}
