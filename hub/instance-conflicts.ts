/** What a host says of its instances, where it cannot be: a CPU, a device or a piece of memory has one owner at a time. */
import type { StoredInstance } from '../store/queries/instances.ts';

/** By instance, in words. */
export type Conflicts = ReadonlyMap<StoredInstance, readonly string[]>;

/** Said of one instance at most. */
const MAX_SAID = 8;

export function findConflicts(instances: readonly StoredInstance[]): Conflicts {
  const conflicts = new Map<StoredInstance, string[]>();
  for (const own of Map.groupBy(instances, ({ machineId }) => machineId).values()) {
    findShared(own, conflicts, ({ cpus }) => cpus, 'CPU');
    findShared(own, conflicts, ({ devices }) => devices, 'device');
  }
  return conflicts;
}

function findShared(
  instances: readonly StoredInstance[],
  conflicts: Map<StoredInstance, string[]>,
  list: (of: StoredInstance) => readonly string[],
  word: string,
): void {
  const owners = new Map<string, StoredInstance[]>();
  for (const instance of instances) {
    for (const one of new Set(list(instance))) {
      const known = owners.get(one);
      if (known === undefined) owners.set(one, [instance]);
      else known.push(instance);
    }
  }
  for (const [one, all] of owners) {
    if (all.length < 2) continue;
    for (const instance of all) {
      const said = conflicts.get(instance) ?? [];
      conflicts.set(instance, said);
      const others = all.filter((other) => other !== instance).map(({ name, id }) => `${name} (${id})`);
      if (said.length < MAX_SAID) said.push(`${word} ${one} is also said to be of ${others.join(', ')}`);
    }
  }
}
