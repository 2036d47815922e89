/** Own line icons on a 16 px grid, drawn in the text's colour. */
import type { ComponentChildren } from 'preact';

function Icon({ children }: { readonly children: ComponentChildren }) {
  return (
    <svg
      class="icon"
      width="16"
      height="16"
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      stroke-width="1.4"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

/** mkscope's mark: three kernels' slices on one time axis. */
export function Mark() {
  return (
    <svg class="mark" width="22" height="22" viewBox="0 0 20 20" aria-hidden="true">
      <rect class="mark-plate" width="20" height="20" rx="4.5" />
      <g fill="#fff">
        <rect x="4" y="4.5" width="7" height="2.6" rx="1.1" />
        <rect x="8" y="8.7" width="8" height="2.6" rx="1.1" opacity=".8" />
        <rect x="5.5" y="12.9" width="5" height="2.6" rx="1.1" opacity=".6" />
      </g>
    </svg>
  );
}

export function ServerIcon() {
  return (
    <Icon>
      <rect x="2" y="2.5" width="12" height="4.5" rx="1.2" />
      <rect x="2" y="9" width="12" height="4.5" rx="1.2" />
      <path d="M4.8 4.75h.01M4.8 11.25h.01" />
    </Icon>
  );
}

export function LinesIcon() {
  return (
    <Icon>
      <path d="M2.5 3.5h11M2.5 6.5h7M2.5 9.5h9.5M2.5 12.5h5" />
    </Icon>
  );
}

export function TimelineIcon() {
  return (
    <Icon>
      <path d="M2 3.8h5.5M10 3.8h2M4.5 8h7M2 12.2h3M8 12.2h6" stroke-width="2.2" />
    </Icon>
  );
}

export function MessagesIcon() {
  return (
    <Icon>
      <path d="M2 5h11M10.5 2.5 13 5l-2.5 2.5M14 11H3M5.5 8.5 3 11l2.5 2.5" />
    </Icon>
  );
}

export function TraceIcon() {
  return (
    <Icon>
      <path d="M2 3.5h9M4.5 8h6M7.5 12.5H14" stroke-width="2.2" />
    </Icon>
  );
}

export function BookIcon() {
  return (
    <Icon>
      <path d="M8 2.2v11.6M3 13.8h10M3.2 4.6h9.6M3.2 4.6l-1.7 4.2a1.9 1.9 0 0 0 3.4 0zM12.8 4.6l-1.7 4.2a1.9 1.9 0 0 0 3.4 0z" />
    </Icon>
  );
}

export function DatabaseIcon() {
  return (
    <Icon>
      <ellipse cx="8" cy="3.8" rx="5.2" ry="1.9" />
      <path d="M2.8 3.8v8.4c0 1 2.3 1.9 5.2 1.9s5.2-.9 5.2-1.9V3.8M2.8 8c0 1 2.3 1.9 5.2 1.9s5.2-.9 5.2-1.9" />
    </Icon>
  );
}

export function AlarmIcon() {
  return (
    <Icon>
      <path d="M8 2.2 14.2 13H1.8zM8 6.4v3.1M8 11.3h.01" />
    </Icon>
  );
}

export function SunIcon() {
  return (
    <Icon>
      <circle cx="8" cy="8" r="2.9" />
      <path d="M8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M3.4 12.6l.9-.9M11.7 4.3l.9-.9" />
    </Icon>
  );
}

export function MoonIcon() {
  return (
    <Icon>
      <path d="M13.4 9.6A5.8 5.8 0 0 1 6.4 2.6a5.8 5.8 0 1 0 7 7z" />
    </Icon>
  );
}

export function HelpIcon() {
  return (
    <Icon>
      <circle cx="8" cy="8" r="6.2" />
      <path d="M6.2 6.3a1.9 1.9 0 1 1 2.6 1.9c-.5.2-.8.6-.8 1.1M8 11.4h.01" />
    </Icon>
  );
}

export function SearchIcon() {
  return (
    <Icon>
      <circle cx="7" cy="7" r="4.3" />
      <path d="M10.2 10.2 14 14" />
    </Icon>
  );
}

export function CloseIcon() {
  return (
    <Icon>
      <path d="m4 4 8 8M12 4l-8 8" />
    </Icon>
  );
}

export function CopyIcon() {
  return (
    <Icon>
      <rect x="5.5" y="5.5" width="8" height="8" rx="1.4" />
      <path d="M10.5 3.4v-.1c0-.7-.5-1.3-1.2-1.3H3.8C3 2 2.3 2.6 2.3 3.4v5.7c0 .7.6 1.2 1.3 1.2" />
    </Icon>
  );
}

export function TerminalIcon() {
  return (
    <Icon>
      <rect x="1.8" y="2.6" width="12.4" height="10.8" rx="1.6" />
      <path d="m4.6 6 2.2 2-2.2 2M8.4 10.4h3" />
    </Icon>
  );
}

export function DownIcon() {
  return (
    <Icon>
      <path d="M8 3v9.5M4 8.6l4 4 4-4" />
    </Icon>
  );
}

export function CheckIcon() {
  return (
    <Icon>
      <path d="m3.2 8.5 3.2 3.2 6.4-7" />
    </Icon>
  );
}
