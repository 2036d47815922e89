/** The kernels as a table, for `mkscope kernels` and `mkscope top`. */
import type { InstanceRow, KernelRow, UnseenKernel } from '../model/api.ts';
import { type Column, renderRows } from './table.ts';
import { escapeLine } from './terminal.ts';
import type { Paint, Style } from './terminal.ts';
import { formatBytes, formatCount, formatErrorNs, formatRate, formatSeconds } from './units.ts';

const STATE_STYLES: Readonly<Record<KernelRow['state'], Style>> = { live: 'green', silent: 'red', imported: 'blue' };

export function renderKernels(kernels: readonly KernelRow[], paint: Paint, width: number | undefined): string {
  const hasMachines = new Set(kernels.map((kernel) => kernel.machineId)).size > 1;
  const columns: readonly Column<KernelRow>[] = [
    // Only said where there are several.
    ...(hasMachines ? [{ title: 'MACHINE', text: ({ machineName }: KernelRow) => escapeLine(machineName) }] : []),
    { title: 'ID', align: 'right', text: ({ kernelId }) => String(kernelId) },
    { title: 'KERNEL', text: ({ kernelName }) => escapeLine(kernelName) },
    { title: 'STATE', text: ({ state }) => state, style: ({ state }) => STATE_STYLES[state] },
    { title: 'RELEASE', text: ({ release }) => escapeLine(release) },
    { title: 'CPUS', align: 'right', text: ({ cpus }) => (cpus > 0 ? String(cpus) : '-') },
    { title: 'CPU', align: 'right', text: ({ cpuUtilization: used }) => (used < 0 ? '-' : `${(used * 100).toFixed(0)} %`) },
    { title: 'MEMORY', align: 'right', text: formatMemory },
    { title: 'UPTIME', align: 'right', text: ({ uptimeSeconds }) => (uptimeSeconds < 0 ? '-' : formatSeconds(uptimeSeconds)) },
    { title: 'LOGS/S', align: 'right', text: ({ logsPerSecond }) => formatRate(logsPerSecond) },
    { title: 'EVENTS/S', align: 'right', text: ({ eventsPerSecond }) => formatRate(eventsPerSecond) },
    { title: 'LOST', align: 'right', text: ({ lost }) => formatCount(lost) },
    { title: 'CLOCK', align: 'right', text: ({ clockErrorNs }) => formatErrorNs(clockErrorNs) },
    { title: 'LAST LINE', text: formatLastLine },
  ];
  return renderRows(columns, kernels, paint, width);
}

function formatMemory({ memoryTotal, memoryAvailable }: KernelRow): string {
  return memoryTotal > 0 ? `${formatBytes(memoryTotal - memoryAvailable)} / ${formatBytes(memoryTotal)}` : '-';
}

function formatLastLine({ state, stateDetail, lastLine, instance }: KernelRow): string {
  const said = [state === 'imported' ? '' : stateDetail, ...(instance?.conflicts ?? [])].filter((part) => part !== '').join('; ');
  return escapeLine(said === '' ? lastLine : `(${said}) ${lastLine}`);
}

/** Instances that nothing came from: what their host kernel says of them. */
export function renderUnseen(kernels: readonly UnseenKernel[], paint: Paint, width: number | undefined): string {
  const columns: readonly Column<UnseenKernel>[] = [
    { title: 'ID', align: 'right', text: ({ kernelId }) => String(kernelId) },
    { title: 'INSTANCE', text: ({ kernelName }) => escapeLine(kernelName) },
    { title: 'RESOURCES', text: ({ instance }) => escapeLine(describeResources(instance)) },
    { title: 'NOTHING CAME FROM IT', text: ({ why, instance }) => escapeLine([why, ...instance.conflicts].join('; ')) },
  ];
  return renderRows(columns, kernels, paint, width);
}

function describeResources({ cpus, memoryBytes, devices }: InstanceRow): string {
  const memory = memoryBytes > 0 ? formatBytes(memoryBytes) : 'memory ?';
  return [cpus.length === 0 ? 'no CPUs' : `CPUs ${cpus.join(',')}`, memory, ...devices].join(' · ');
}
