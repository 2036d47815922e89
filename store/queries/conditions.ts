/** WHERE clauses from optional filters: values always travel as parameters, never as text. */
import type { QueryOptions } from '../store.ts';

export class Conditions {
  readonly params: Record<string, unknown> = {};
  readonly #parts: string[] = [];

  add(condition: string, params: Readonly<Record<string, unknown>> = {}): this {
    this.#parts.push(condition);
    Object.assign(this.params, params);
    return this;
  }

  /** Of expressions that stand elsewhere in the query. */
  addParams(params: Readonly<Record<string, unknown>>): this {
    Object.assign(this.params, params);
    return this;
  }

  /** Kernel ids or names, comma-separated. */
  addKernel(kernel: string | undefined): this {
    if (kernel === undefined) return this;
    const names = kernel.split(',').filter((name) => name !== '');
    const ids = names.filter((name) => /^\d{1,9}$/.test(name)).map(Number);
    return this.add('(KernelName IN {kernelNames:Array(String)} OR KernelId IN {kernelIds:Array(Int32)})', {
      kernelNames: names,
      kernelIds: ids,
    });
  }

  addEqual(column: string, name: string, type: string, value: string | number | undefined): this {
    return value === undefined ? this : this.add(`${column} = {${name}:${type}}`, { [name]: value });
  }

  /** One of these incarnations. */
  addBoots(boots: readonly string[] | undefined): this {
    return boots === undefined ? this : this.add('BootId IN {boots:Array(String)}', { boots });
  }

  /** Comma-separated values of a text column; one that ends in `*` stands for all that begin so. */
  addNames(column: string, name: string, list: string | undefined): this {
    if (list === undefined) return this;
    const names = list.split(',').filter((one) => one !== '');
    const whole = names.filter((one) => !one.endsWith('*'));
    const beginnings = names.filter((one) => one.endsWith('*')).map((one) => one.slice(0, -1));
    return this.add(
      `(${column} IN {${name}:Array(String)} OR arrayExists(x -> startsWith(${column}, x), {${name}Beginnings:Array(String)}))`,
      {
        [name]: whole,
        [`${name}Beginnings`]: beginnings,
      },
    );
  }

  /** Bounds of a DateTime64(9) column, both inclusive, Unix ns in decimal. */
  addRange(column: string, from: string | undefined, to: string | undefined): this {
    if (from !== undefined) this.add(`${column} >= fromUnixTimestamp64Nano({fromNs:Int64})`, { fromNs: from });
    if (to !== undefined) this.add(`${column} <= fromUnixTimestamp64Nano({toNs:Int64})`, { toNs: to });
    return this;
  }

  /** Case-insensitive substring of a text column. */
  addSearch(column: string, search: string | undefined): this {
    if (search === undefined) return this;
    // lower() knows ASCII only, and is what the token index is over; other scripts go the slower way.
    if (/^[\x20-\x7e]*$/.test(search)) {
      return this.add(`lower(${column}) LIKE {like:String}`, { like: `%${search.toLowerCase().replace(/[\\%_]/g, '\\$&')}%` });
    }
    return this.add(`positionCaseInsensitiveUTF8(${column}, {search:String}) > 0`, { search });
  }

  /** ` WHERE …`, or nothing. */
  toSql(): string {
    return this.#parts.length === 0 ? '' : ` WHERE ${this.#parts.join(' AND ')}`;
  }

  toOptions(): QueryOptions {
    return { params: this.params };
  }
}
