/**
 * Task names by pid, from tracefs' `saved_cmdlines` (`<pid> <name>` per line): the kernel keeps a bounded list of the tasks that
 * were traced. Only what changed since the last reading is handed on.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const MAX_KNOWN = 65_536;

export class TaskNames {
  readonly #path: string;
  readonly #known = new Map<string, string>();

  constructor(tracefs: string) {
    this.#path = join(tracefs, 'saved_cmdlines');
  }

  readChanges(): Record<string, string> {
    const changes: Record<string, string> = {};
    for (const line of readFileSync(this.#path, 'utf8').split('\n')) {
      const space = line.indexOf(' ');
      if (space <= 0) continue;
      const pid = line.slice(0, space);
      const name = line.slice(space + 1);
      if (name === '<...>' || this.#known.get(pid) === name) continue;
      this.#known.set(pid, name);
      changes[pid] = name;
    }
    if (this.#known.size > MAX_KNOWN) this.#known.clear();
    return changes;
  }
}
