import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KernelRow } from '../../model/api.ts';
import { toTones } from '../../web/state/tones.ts';

function toKernel(machineId: string, kernelId: number, bootId: string, firstSeenUnixNs: string): KernelRow {
  return {
    machineId,
    machineName: machineId,
    kernelId,
    kernelName: `kernel-${kernelId}`,
    bootId,
    release: '',
    arch: '',
    cpus: 0,
    memoryTotal: 0,
    memoryAvailable: 0,
    uptimeSeconds: -1,
    firstSeenUnixNs,
    lastSeenUnixNs: firstSeenUnixNs,
    state: 'live',
    stateDetail: '',
    logsPerSecond: 0,
    eventsPerSecond: 0,
    lost: 0,
    clockErrorNs: -1,
    clock: '',
    lastLine: '',
    lastLineUnixNs: '',
    cpuUtilization: -1,
    cpuHistory: [],
  };
}

test('page colours: kernels differ, incarnations of one are alike, and a new kernel changes none', () => {
  const first = [toKernel('m', 0, 'a', '100'), toKernel('m', 3, 'b', '200'), toKernel('n', 0, 'c', '300'), toKernel('m', 3, 'd', '400')];
  const tones = toTones(first);
  assert.equal(new Set(['a', 'b', 'c'].map((boot) => tones.get(boot))).size, 3);
  assert.equal(tones.get('b'), tones.get('d'));
  const later = toTones([toKernel('m', 9, 'e', '500'), ...first].reverse());
  for (const boot of ['a', 'b', 'c', 'd']) assert.equal(later.get(boot), tones.get(boot));
});
