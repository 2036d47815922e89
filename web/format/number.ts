/** Numbers for people: grouped digits, compact counts, bytes, rates; each caller shows the unit. */
const GROUPED = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

export function formatCount(value: number): string {
  return GROUPED.format(value);
}

const COMPACT = [
  { size: 1e12, name: 'T' },
  { size: 1e9, name: 'G' },
  { size: 1e6, name: 'M' },
  { size: 1e3, name: 'k' },
] as const;

/** `1.23 M`; below 10,000 all digits. */
export function formatCompact(value: number): string {
  if (Math.abs(value) < 10_000) return formatCount(value);
  const unit = COMPACT.find((candidate) => Math.abs(value) >= candidate.size) ?? COMPACT[3];
  return `${significant(value / unit.size)} ${unit.name}`;
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? String(Math.round(value)) : significant(value)} ${BYTE_UNITS[unit] ?? 'B'}`;
}

/** Per second; the unit is the caller's. */
export function formatRate(perSecond: number): string {
  if (perSecond <= 0) return '0';
  if (perSecond < 0.1) return '< 0.1';
  if (perSecond < 10) return perSecond.toFixed(1);
  return formatCompact(Math.round(perSecond));
}

export function formatPercent(ratio: number): string {
  if (ratio < 0) return '–';
  const percent = ratio * 100;
  if (percent > 0 && percent < 0.1) return '< 0.1 %';
  return `${percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
}

function significant(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}
