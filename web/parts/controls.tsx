/** Small controls that several pages share. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ApiError } from '../api/client.ts';
import { CheckIcon, CopyIcon, TerminalIcon } from './icons.tsx';

export interface Choice {
  readonly value: string;
  readonly label: string;
}

export function Select(props: {
  readonly label: string;
  readonly value: string;
  readonly choices: readonly Choice[];
  readonly onChange: (value: string) => void;
  /** Not a filter: no choice stands for "all", so none is marked as set. */
  readonly plain?: boolean;
}) {
  return (
    <label class={`select ${props.value === '' || props.plain === true ? '' : 'select-set'}`}>
      <span>{props.label}</span>
      <select value={props.value} onChange={(event) => props.onChange(event.currentTarget.value)}>
        {props.choices.map((choice) => (
          <option key={choice.value} value={choice.value}>
            {choice.label}
          </option>
        ))}
      </select>
    </label>
  );
}

/** A switch between a few states, all of them visible. */
export function Segmented(props: {
  readonly label: string;
  readonly value: string;
  readonly choices: readonly (Choice & { readonly title?: string })[];
  readonly onChange: (value: string) => void;
}) {
  return (
    <div class="segmented" role="group" aria-label={props.label}>
      {props.choices.map((choice) => (
        <button
          key={choice.value}
          type="button"
          aria-pressed={choice.value === props.value}
          title={choice.title}
          onClick={() => props.onChange(choice.value)}
        >
          {choice.label}
        </button>
      ))}
    </div>
  );
}

const CONFIRM_MS = 1200;

export function CopyButton(props: {
  readonly text: () => string;
  readonly label: string;
  readonly command?: boolean;
  readonly short?: boolean;
}) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = window.setTimeout(() => setCopied(false), CONFIRM_MS);
    return () => window.clearTimeout(timer);
  }, [copied]);
  const copy = async (): Promise<void> => setCopied(await copyText(props.text()));
  return (
    <button
      class={props.short ? 'icon-button' : 'button'}
      type="button"
      title={props.command ? props.text() : props.label}
      aria-label={props.label}
      onClick={() => void copy()}
    >
      {copied ? <CheckIcon /> : props.command ? <TerminalIcon /> : <CopyIcon />}
      {!props.short && <span>{copied ? 'Copied' : props.label}</span>}
    </button>
  );
}

/** The clipboard API needs a secure context; a page on another host's plain HTTP falls back to a selection. */
export async function copyText(text: string): Promise<boolean> {
  if (window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
    }
  }
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'off-screen';
  document.body.append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  return done;
}

/** Why there is nothing, and what to do about it. */
export function Empty(props: { readonly title: string; readonly children?: ComponentChildren; readonly command?: string }) {
  return (
    <div class="empty">
      <h2>{props.title}</h2>
      {props.children !== undefined && <p>{props.children}</p>}
      {props.command !== undefined && <Command text={props.command} />}
    </div>
  );
}

export function Command({ text }: { readonly text: string }) {
  return (
    <div class="command">
      <code>{text}</code>
      <CopyButton label="Copy the command" text={() => text} short />
    </div>
  );
}

export function ErrorNote({ error, onRetry }: { readonly error: ApiError; readonly onRetry?: () => void }) {
  return (
    <div class="error-note" role="alert">
      <code>{error.code}</code>
      <div>
        <strong>{error.message}</strong>
        {error.hint !== '' && <p>{error.hint}</p>}
      </div>
      {onRetry !== undefined && (
        <button class="button" type="button" onClick={onRetry}>
          Retry
        </button>
      )}
    </div>
  );
}

/** A field with `/` to get there and Esc to leave; reports after a pause in typing. */
export function SearchField(props: {
  readonly value: string;
  readonly placeholder: string;
  readonly onInput: (value: string) => void;
  readonly children?: ComponentChildren;
  readonly icon: ComponentChildren;
  readonly inputRef: { current: HTMLInputElement | null };
}) {
  const [text, setText] = useState(props.value);
  const timer = useRef<number | undefined>(undefined);
  const sent = useRef(props.value);
  useEffect(() => {
    // Follow the address only when it changed by other means than this field.
    if (props.value !== sent.current) {
      sent.current = props.value;
      setText(props.value);
    }
  }, [props.value]);
  const report = (value: string, delayMs: number): void => {
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => {
      sent.current = value;
      props.onInput(value);
    }, delayMs);
  };
  return (
    <div class="search">
      {props.icon}
      <input
        ref={props.inputRef}
        type="search"
        spellcheck={false}
        autocomplete="off"
        aria-label={props.placeholder}
        placeholder={props.placeholder}
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
          report(event.currentTarget.value, 250);
        }}
        onKeyDown={(event) => {
          if (event.key === 'Enter') report(event.currentTarget.value, 0);
          if (event.key === 'Escape') event.currentTarget.blur();
        }}
      />
      {props.children}
    </div>
  );
}
