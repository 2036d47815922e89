/** Maps that are bounded by what was used last: a map of JavaScript keeps the order in which its keys were set. */

/** Sets an entry behind all others, and drops the first ones beyond `most`. */
export function keepLast<Key, Value>(map: Map<Key, Value>, key: Key, value: Value, most: number): void {
  map.delete(key);
  map.set(key, value);
  while (map.size > most) {
    const [oldest] = map.keys();
    map.delete(oldest as Key);
  }
}
