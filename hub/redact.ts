/**
 * Takes out of a text what does not leave a site: values of secrets, addresses, host names. What is the same before is the same
 * afterwards (`ip-1`), so that a reader can still tell who talks to whom.
 *
 *   mk.token=f706184e console=tty0        →  mk.token=[redacted] console=tty0
 *   eth0: 10.0.0.7 52:54:00:12:34:56      →  eth0: ip-1 mac-1
 *   R13: ffff8c5e00000000                 →  R13: ptr-1
 *
 * By pattern (secrets: model/redact.ts), so a name that looks like a word and a secret that stands alone stay: read it before you send it.
 */
import { redactSecrets } from '../model/redact.ts';

/** Where the kernel lies is as good as a key. */
const KERNEL_OFFSET = /(\bKernel Offset: )(0x[0-9a-f]+)/g;
const MAIL = /\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}\b/g;
const MAC = /\b[0-9a-f]{2}(?::[0-9a-f]{2}){5}\b/gi;
const IPV6 =
  /(?<![\w:.])(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}(?![\w:])|(?<![\w:.])(?:[0-9a-f]{1,4}:){1,6}(?::[0-9a-f]{1,4}){1,6}(?![\w:])|(?<![\w:.])(?:[0-9a-f]{1,4}:){2,7}:(?![\w:])/gi;
const IPV4 = /(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])/g;
/** Addresses of the kernel's upper half: they tell where it is loaded. */
const POINTER = /(?<![0-9a-z])(?:0x)?ffff[0-9a-f]{12}(?![0-9a-z])/gi;
const DOMAIN =
  /\b(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,8}(?:com|net|org|io|dev|edu|gov|cloud|internal|intranet|local|localdomain|lan|corp|home|example|test|de|uk|fr|eu|us|cn|jp|ch|at|nl)\b/gi;
const HOST_LINE = /(\bhost ?name(?: is|: |=| set to )[\s<"]{0,3})([\w.-]+)/gi;

export class Redactor {
  readonly #names = new Map<string, string>();
  readonly #counts = new Map<string, number>();
  readonly #known: readonly RegExp[];

  /** `known`: names to be taken out wherever they stand, as machines are called here. */
  constructor(known: readonly string[]) {
    const names = [...new Set(known.filter((name) => name.length > 2 && name !== 'imported'))].sort((a, b) => b.length - a.length);
    // Whole words: a machine that is called lab is in no slab.
    this.#known = names.map(
      (name) => new RegExp(`(?<![A-Za-z0-9_])${name.replace(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`)}(?![A-Za-z0-9_])`, 'g'),
    );
  }

  redact(text: string): string {
    let clean = text;
    for (const pattern of this.#known) clean = clean.replace(pattern, (found) => this.#nameOf('machine', found));
    clean = redactSecrets(clean).replace(KERNEL_OFFSET, '$1[redacted]');
    const name = (kind: string) => (found: string) => this.#nameOf(kind, found.toLowerCase());
    clean = clean.replace(HOST_LINE, (_whole, before: string, host: string) => before + this.#nameOf('host', host.toLowerCase()));
    clean = clean.replace(MAIL, name('mail')).replace(MAC, name('mac')).replace(IPV6, name('ip')).replace(IPV4, name('ip'));
    return clean.replace(POINTER, name('ptr')).replace(DOMAIN, name('host'));
  }

  /** The same of every text in a value, names of members aside. */
  redactAll<Value>(value: Value): Value {
    if (typeof value === 'string') return this.redact(value) as Value;
    if (Array.isArray(value)) return value.map((one: unknown) => this.redactAll(one)) as Value;
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, of]) => [key, this.redactAll(of as unknown)])) as Value;
  }

  #nameOf(kind: string, found: string): string {
    const key = `${kind} ${found}`;
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    const name = `${kind}-${count}`;
    this.#names.set(key, name);
    return name;
  }
}
