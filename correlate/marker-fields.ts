/**
 * Members of a JSON object that a program printed for whoever reads the console, as attributes:
 *
 *   {"event":"agent.ready","fields":{"port":7103,"sandbox":"web-1"},"source":"agent"}
 *     event=agent.ready   fields.port=7103   fields.sandbox=web-1   source=agent
 *
 * Anybody can print anything: names are few and short, values are cut, and what lies deeper than that is kept as JSON text.
 */
const MAX_MEMBERS = 32;
const MAX_NAME_CHARS = 64;
const MAX_VALUE_CHARS = 1_024;
const NAME = /^[\w.-]+$/;

export type MarkerValue = string | number | boolean;

/** Undefined where the text is no JSON object: then it is a line like any other. */
export function readMarker(text: string): ReadonlyMap<string, MarkerValue> | undefined {
  let object: unknown;
  try {
    object = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(object)) return undefined;
  const members = new Map<string, MarkerValue>();
  addMembers(members, '', object, true);
  return members;
}

function addMembers(
  members: Map<string, MarkerValue>,
  prefix: string,
  object: Readonly<Record<string, unknown>>,
  goesDeeper: boolean,
): void {
  for (const [key, value] of Object.entries(object)) {
    const name = prefix + key;
    if (members.size >= MAX_MEMBERS) return;
    if (name.length > MAX_NAME_CHARS || !NAME.test(key)) continue;
    if (typeof value === 'string') members.set(name, value.slice(0, MAX_VALUE_CHARS));
    else if (typeof value === 'number' || typeof value === 'boolean') members.set(name, value);
    else if (goesDeeper && isObject(value)) addMembers(members, `${name}.`, value, false);
    else if (value !== null) members.set(name, JSON.stringify(value).slice(0, MAX_VALUE_CHARS));
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
