/** Rows of a `<dl class="properties">`: a name and what there is to say of it. */
import type { ComponentChildren } from 'preact';
import { escapeControls } from '../format/text.ts';

/** Of one value at most; the copy buttons give all. */
const MAX_SHOWN_CHARS = 50_000;

export function Property({ name, children }: { readonly name: ComponentChildren; readonly children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** Names and values as a sender wrote them. */
export function Attributes({ of }: { readonly of: readonly (readonly [name: string, value: string])[] }) {
  return (
    <>
      {of.map(([name, value]) => (
        <Property key={name} name={escapeControls(name)}>
          {escapeControls(value.slice(0, MAX_SHOWN_CHARS))}
        </Property>
      ))}
    </>
  );
}
