import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** Files and packages that are loaded with `file`, statically: `import()` is where a command decides. */
export function loadedWith(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const text = readFileSync(file, 'utf8');
  for (const match of text.matchAll(/^(?:import|export)\s+(?!type\s)(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm)) {
    const specifier = match[1] as string;
    if (!specifier.startsWith('.')) seen.add(specifier);
    else if (existsSync(resolve(dirname(file), specifier))) loadedWith(resolve(dirname(file), specifier), seen);
  }
  return seen;
}
