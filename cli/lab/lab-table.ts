/** A running lab for a person: its kernels as a table, and where to look. */
import type { LabKernelStatus } from '../../deploy/lab/lab.ts';
import { renderTable } from '../table.ts';
import { escapeLine, terminalWidth, type Paint, type Style } from '../terminal.ts';
import { DEFAULT_LAB } from './lab-flags.ts';
import type { LabStatus } from './lab-service.ts';

const COLUMNS = [
  { title: 'ID', align: 'right' as const },
  { title: 'KERNEL' },
  { title: 'STATE' },
  { title: 'INSTANCE' },
  { title: 'LINUX' },
  { title: 'CPUS', align: 'right' as const },
  { title: 'BOOT', align: 'right' as const },
  { title: 'LAST LINE, OR WHY IT ENDED' },
];
const STATE_COLUMN = 2;
const STATE_STYLES: Readonly<Record<LabKernelStatus['guest'], Style>> = { up: 'green', booting: 'yellow', paused: 'yellow', off: 'red' };

export function formatLab(status: LabStatus, paint: Paint): string {
  const rows = status.kernels.map((kernel) => [
    String(kernel.id),
    kernel.name,
    toState(kernel),
    kernel.instance === '' ? '-' : kernel.instance,
    kernel.release,
    String(kernel.cpus),
    kernel.bootMs === 0 ? '-' : `${(kernel.bootMs / 1000).toFixed(1)} s`,
    escapeLine(kernel.death?.reason ?? kernel.lastLines.at(-1) ?? ''),
  ]);
  const table = renderTable(COLUMNS, rows, {
    paint,
    width: terminalWidth(process.stdout),
    style: (cell, row, column) => {
      const kernel = status.kernels[row];
      return column === STATE_COLUMN && kernel !== undefined ? paint(STATE_STYLES[kernel.guest], cell) : cell;
    },
  });
  const name = status.name === DEFAULT_LAB ? '' : ` --name ${status.name}`;
  const page = status.page === undefined ? '' : `\n  page      ${paint('bold', status.page)}`;
  return `${table}${page}
  traffic   mkscope lab traffic${name} --count 1000
  faults    mkscope lab fault${name} spawn1 panic    (mkscope lab fault lists them)
  files     ${status.root} (looks like a Multikernel host), ${status.truth} (when each message really was)
  end       mkscope lab down${name}
`;
}

function toState(kernel: LabKernelStatus): string {
  if (kernel.guest === 'off') return kernel.hasPanicked ? 'panicked' : 'off';
  return kernel.guest;
}
