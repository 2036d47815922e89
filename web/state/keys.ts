/** Keyboard shortcuts: a table of key → action per component, silent while the reader types in a field. */
import { useEffect, useRef } from 'preact/hooks';

export type KeyBindings = Readonly<Record<string, (event: KeyboardEvent) => void>>;

export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** While a dialog is open the keys are its own. */
function isBehindDialog(): boolean {
  return document.querySelector('dialog[open]') !== null;
}

/** Keys by `event.key`; letters in lower case. `Escape` is heard in fields too. */
export function useKeys(bindings: KeyBindings): void {
  const current = useRef(bindings);
  current.current = bindings;
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isBehindDialog()) return;
      if (isTyping(event.target) && event.key !== 'Escape') return;
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      const action = current.current[key];
      if (action === undefined) return;
      event.preventDefault();
      action(event);
    };
    window.addEventListener('keydown', press);
    return () => window.removeEventListener('keydown', press);
  }, []);
}

const CHORD_MS = 1200;

/** Two keys in a row, the first one a prefix (`g l`): the second does not reach the other shortcuts. */
export function useChord(prefix: string, bindings: Readonly<Record<string, () => void>>): void {
  const current = useRef(bindings);
  current.current = bindings;
  useEffect(() => {
    let armedMs = -Infinity;
    const press = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || isBehindDialog()) return;
      if (event.timeStamp - armedMs > CHORD_MS) {
        if (event.key === prefix) armedMs = event.timeStamp;
        return;
      }
      armedMs = -Infinity;
      const action = current.current[event.key];
      if (action === undefined) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      action();
    };
    window.addEventListener('keydown', press, { capture: true });
    return () => window.removeEventListener('keydown', press, { capture: true });
  }, [prefix]);
}
