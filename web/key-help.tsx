/** The list of shortcuts, in a dialog. */
import { useEffect, useRef } from 'preact/hooks';

const GROUPS: readonly { readonly title: string; readonly keys: readonly (readonly [string, string])[] }[] = [
  {
    title: 'Everywhere',
    keys: [
      ['1 … 8', 'Kernels, Logs, Timeline, IKC, Traces, Incidents, Ledger, SQL'],
      ['g k / l / t / m / r / i / e / d', 'The same, by letter'],
      ['/', 'Search'],
      ['\\', 'Light or dark'],
      ['Esc', 'Close, leave a field'],
      ['?', 'This list'],
    ],
  },
  {
    title: 'Logs',
    keys: [
      ['j / k', 'Next, previous line'],
      ['Enter', 'All about the line'],
      ['End', 'Newest line, follow'],
      ['Home', 'Oldest loaded line'],
      ['c', 'Copy the line'],
      ['t', 'Timeline at that moment'],
      ['e', 'Kernel reports only'],
      ['r', 'Aligned or raw clock'],
    ],
  },
  {
    title: 'Timeline',
    keys: [
      ['w / s', 'Zoom in, out'],
      ['a / d', 'Pan left, right'],
      ['wheel', 'Zoom at the pointer; with Shift: pan'],
      ['drag', 'Pan'],
      ['Shift + drag', 'Select an area: statistics'],
      ['f', 'Fit all; with a selection: fit it'],
      ['l', 'Follow the present'],
      ['m', 'Logs at the pointer'],
    ],
  },
];

export function KeyHelp({ onClose }: { readonly onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      class="help"
      ref={dialog}
      aria-label="Keyboard shortcuts"
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && dialog.current?.close()}
    >
      <div class="help-head">
        <h2>Keyboard</h2>
        <button class="button" type="button" onClick={() => dialog.current?.close()}>
          Close <kbd>Esc</kbd>
        </button>
      </div>
      <div class="help-groups">
        {GROUPS.map((group) => (
          <section key={group.title}>
            <h3>{group.title}</h3>
            <dl>
              {group.keys.map(([key, what]) => (
                <div key={key}>
                  <dt>
                    <kbd>{key}</kbd>
                  </dt>
                  <dd>{what}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </dialog>
  );
}
