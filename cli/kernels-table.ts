/** The kernels as a table, for `mkscope kernels` and `mkscope top`. */
import type { InstanceRow, KernelRow, UnseenKernel } from '../model/api.ts';
import { renderTable } from './table.ts';
import { escapeLine } from './terminal.ts';
import type { Paint, Style } from './terminal.ts';
import { formatBytes, formatCount, formatErrorNs, formatRate, formatSeconds } from './units.ts';

const STATE_STYLES: Readonly<Record<KernelRow['state'], Style>> = { live: 'green', silent: 'red', imported: 'blue' };
const STATE_COLUMN = 3;

export function renderKernels(kernels: readonly KernelRow[], paint: Paint, width: number | undefined): string {
  const hasMachines = new Set(kernels.map((kernel) => kernel.machineId)).size > 1;
  const columns = [
    { title: hasMachines ? 'MACHINE' : '' },
    { title: 'ID', align: 'right' as const },
    { title: 'KERNEL' },
    { title: 'STATE' },
    { title: 'RELEASE' },
    { title: 'CPUS', align: 'right' as const },
    { title: 'CPU', align: 'right' as const },
    { title: 'MEMORY', align: 'right' as const },
    { title: 'UPTIME', align: 'right' as const },
    { title: 'LOGS/S', align: 'right' as const },
    { title: 'EVENTS/S', align: 'right' as const },
    { title: 'LOST', align: 'right' as const },
    { title: 'CLOCK', align: 'right' as const },
    { title: 'LAST LINE' },
  ];
  const rows = kernels.map((kernel) => [
    hasMachines ? escapeLine(kernel.machineName) : '',
    String(kernel.kernelId),
    escapeLine(kernel.kernelName),
    kernel.state,
    escapeLine(kernel.release),
    kernel.cpus > 0 ? String(kernel.cpus) : '-',
    kernel.cpuUtilization < 0 ? '-' : `${(kernel.cpuUtilization * 100).toFixed(0)} %`,
    kernel.memoryTotal > 0 ? `${formatBytes(kernel.memoryTotal - kernel.memoryAvailable)} / ${formatBytes(kernel.memoryTotal)}` : '-',
    kernel.uptimeSeconds < 0 ? '-' : formatSeconds(kernel.uptimeSeconds),
    formatRate(kernel.logsPerSecond),
    formatRate(kernel.eventsPerSecond),
    formatCount(kernel.lost),
    formatErrorNs(kernel.clockErrorNs),
    escapeLine(kernel.state === 'silent' && kernel.stateDetail !== '' ? `(${kernel.stateDetail}) ${kernel.lastLine}` : kernel.lastLine),
  ]);
  // The machine is only said where there are several.
  const first = hasMachines ? 0 : 1;
  return renderTable(
    columns.slice(first),
    rows.map((row) => row.slice(first)),
    {
      paint,
      width,
      style: (cell, row, column) => {
        const kernel = kernels[row];
        return column + first === STATE_COLUMN && kernel !== undefined ? paint(STATE_STYLES[kernel.state], cell) : cell;
      },
    },
  );
}

/** Instances that nothing came from: what their host kernel says of them. */
export function renderUnseen(kernels: readonly UnseenKernel[], paint: Paint, width: number | undefined): string {
  const columns = [
    { title: 'ID', align: 'right' as const },
    { title: 'INSTANCE' },
    { title: 'RESOURCES' },
    { title: 'NOTHING CAME FROM IT' },
  ];
  const rows = kernels.map(({ kernelId, kernelName, instance, why }) => [
    String(kernelId),
    escapeLine(kernelName),
    escapeLine(describeResources(instance)),
    escapeLine(why),
  ]);
  return renderTable(columns, rows, { paint, width });
}

function describeResources({ cpus, memoryBytes, devices }: InstanceRow): string {
  const memory = memoryBytes > 0 ? formatBytes(memoryBytes) : 'memory ?';
  return [cpus.length === 0 ? 'no CPUs' : `CPUs ${cpus.join(',')}`, memory, ...devices].join(' · ');
}
