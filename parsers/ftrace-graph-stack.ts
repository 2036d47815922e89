/** The functions of a task that have begun and not ended: a line that ends one does not say which. */
import type { Interner } from '../base/interner.ts';

const NOTHING = new Uint8Array(0);

/** Names of one task's open functions, by depth. */
export class GraphStack {
  /** In the dictionary of the batch at hand; 0 = in `names`, if at all. */
  readonly ids: number[] = [];
  readonly names: Uint8Array[] = [];
  isFresh = false;

  open(depth: number, name: number): void {
    for (let level = this.ids.length; level < depth; level++) this.ids.push(0);
    this.ids[depth] = name;
    // A name of no bytes is none.
    if (name === 0) this.names[depth] = NOTHING;
  }

  keepNames({ arena, starts, ends }: Interner): void {
    for (let level = 0; level < this.ids.length; level++) {
      const id = this.ids[level] as number;
      for (let at = this.names.length; at <= level; at++) this.names.push(NOTHING);
      if (id !== 0) this.names[level] = arena.slice(starts[id], ends[id]);
      this.ids[level] = 0;
    }
    this.isFresh = false;
  }
}
