/** Task names → colours: the same name has the same colour on every lane, in every kernel and each day. */

/** Even steps of hue, ordered so that neighbours in the table are far apart. */
const HUES = [250, 160, 30, 305, 90, 205, 350, 125, 275, 60, 185, 325, 110, 230, 10, 145] as const;

/** Three shades of each hue. */
const LIGHTNESS_STEPS = 3;
const LIGHTNESS_STEP = 0.08;

/** Kernel threads recede: they are many and mostly of one kind. */
const QUIET = /^(kworker|ksoftirqd|migration|rcu_|rcuo|kcompactd|khugepaged|kswapd|cpuhp|irq\/|jbd2|kthreadd)/;

export function hashName(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}

/** `kworker/3:1-events` and `kworker/0:2` are one kind of task. */
function familyOf(comm: string): string {
  return comm.startsWith('kworker') ? 'kworker' : comm.replace(/[/:]\d+$/, '');
}

export interface TaskColor {
  /** `#rrggbb`: a canvas parses that several times faster than `oklch()`, and it is set for each slice. */
  readonly fill: string;
  /** For text on it. */
  readonly ink: string;
}

export function toTaskColor(comm: string, isDark: boolean): TaskColor {
  const family = familyOf(comm);
  const hash = hashName(family);
  const hue = HUES[hash % HUES.length] ?? 250;
  const step = ((hash >>> 8) % LIGHTNESS_STEPS) - 1;
  if (QUIET.test(family)) return { fill: toHex(isDark ? 0.5 : 0.82, 0.035, hue), ink: isDark ? '#f2f4f8' : '#12151b' };
  return { fill: toHex((isDark ? 0.7 : 0.77) + step * LIGHTNESS_STEP, 0.105 - step * 0.015, hue), ink: '#12151b' };
}

/** OKLCH → sRGB (Ottosson's matrices); lightness 0 … 1, hue in degrees. Out of gamut is clipped. */
function toHex(lightness: number, chroma: number, hue: number): string {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
    -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
    -0.0041960863 * long - 0.7034186147 * middle + 1.707614701 * short,
  ];
  return `#${linear.map((value) => toByte(value).toString(16).padStart(2, '0')).join('')}`;
}

function toByte(linear: number): number {
  const clipped = Math.min(1, Math.max(0, linear));
  return Math.round(255 * (clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * clipped ** (1 / 2.4) - 0.055));
}
