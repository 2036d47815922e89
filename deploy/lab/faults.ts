/**
 * The menu of faults: each is something that happens to real kernels, done to a real kernel. What is run in the guest stands as
 * the shell command that does it.
 */
import { OperationalError } from '../../base/errors.ts';
import type { Guest } from './guest.ts';

export interface FaultContext {
  /** The kernel it is done to. */
  readonly guest: Guest;
  /** Kernel 0, which halts and kills the others. */
  readonly host: Guest;
  /** The number or word behind the fault's name. */
  readonly value: string;
  /** Ends the collector as if it had crashed; it is started again. */
  readonly killCollector: () => void;
}

interface Fault {
  readonly about: string;
  /** Which kernels it makes sense for. */
  readonly target: 'any' | 'spawn' | 'lab';
  /** Name and default of its value. */
  readonly value?: { readonly name: string; readonly fallback: string };
  /** Shell command for the guest, or what the lab does itself; resolves with what happened, in words. */
  readonly run: string | ((context: FaultContext) => Promise<string>);
}

const SYSRQ = '/proc/sysrq-trigger';
const INJECT = '/sys/kernel/mkfault/inject';
const CONTROL = '/sys/kernel/mkikc/ctl';

/** `$value` stands for the number behind the name. Commands that kill the guest answer nothing. */
export const FAULTS: Readonly<Record<string, Fault>> = {
  panic: { about: 'the kernel panics', target: 'any', run: `echo 1 >/proc/sys/kernel/sysrq; echo c >${SYSRQ}` },
  oops: { about: 'a NULL dereference in a kernel thread', target: 'any', run: `echo oops >${INJECT}` },
  bug: { about: 'BUG() in a kernel thread', target: 'any', run: `echo bug >${INJECT}` },
  warn: { about: 'a storm of WARNs', target: 'any', value: { name: 'COUNT', fallback: '20' }, run: `echo "warn $value" >${INJECT}` },
  'hung-task': {
    about: 'a task hangs uninterruptibly',
    target: 'any',
    value: { name: 'SECONDS', fallback: '8' },
    run: `echo 2 >/proc/sys/kernel/hung_task_timeout_secs; echo 1 >/proc/sys/kernel/hung_task_check_interval_secs; echo "hungtask $value" >${INJECT}`,
  },
  'hard-lockup': {
    about: 'a CPU neither schedules nor takes interrupts',
    target: 'any',
    value: { name: 'SECONDS', fallback: '12' },
    run: `echo "hardlockup $value" >${INJECT}`,
  },
  'soft-lockup': {
    about: 'a CPU does not schedule',
    target: 'any',
    value: { name: 'SECONDS', fallback: '12' },
    run: `echo 2 >/proc/sys/kernel/watchdog_thresh; echo "softlockup $value" >${INJECT}`,
  },
  'rcu-stall': {
    about: 'a CPU stalls RCU',
    target: 'any',
    value: { name: 'SECONDS', fallback: '12' },
    run: `echo 3 >/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout; echo "rcustall $value" >${INJECT}`,
  },
  oom: { about: 'memory runs out; the kernel kills', target: 'any', run: 'tail /dev/zero &' },
  'printk-flood': {
    about: 'a flood of kernel messages',
    target: 'any',
    value: { name: 'COUNT', fallback: '20000' },
    run: `echo "printkflood $value" >${INJECT}`,
  },
  'power-off': { about: 'the kernel powers itself off', target: 'any', run: 'sync; poweroff -f' },
  halt: {
    about: 'the host asks the kernel to halt, and waits for its answer',
    target: 'spawn',
    run: ({ guest, host }) => tell(host, `halt ${guest.spec.id}`),
  },
  kill: {
    about: 'the host halts the kernel by force',
    target: 'spawn',
    run: ({ guest, host }) => tell(host, `kill ${guest.spec.id}`),
  },
  'power-cut': {
    about: 'the kernel is gone from one instruction to the next, without a word',
    target: 'any',
    run: async ({ guest }) => {
      await guest.kill();
      return 'ended its machine';
    },
  },
  hang: {
    about: 'all its CPUs stop, without a word; "resume" ends it',
    target: 'any',
    run: ({ guest }) => {
      guest.pause();
      return Promise.resolve('stopped all its CPUs');
    },
  },
  resume: {
    about: 'ends a hang',
    target: 'any',
    run: ({ guest }) => {
      guest.resume();
      return Promise.resolve('its CPUs run again');
    },
  },
  'ring-full': {
    about: 'the kernel stops reading its messages; "ring-drain" ends it',
    target: 'any',
    run: `echo "drain off" >${CONTROL}`,
  },
  'ring-drain': { about: 'ends ring-full', target: 'any', run: `echo "drain on" >${CONTROL}` },
  'ack-drop': {
    about: 'the kernel does not answer its next requests',
    target: 'any',
    value: { name: 'COUNT', fallback: '1' },
    run: `echo "ack drop $value" >${CONTROL}`,
  },
  'ack-delay': {
    about: 'the kernel answers its next 10 requests late',
    target: 'any',
    value: { name: 'MS', fallback: '200' },
    run: `echo "ack delay $value 10" >${CONTROL}`,
  },
  'trace-overrun': {
    about: 'the forwarder sleeps while a small trace buffer fills, and wakes up again',
    target: 'any',
    value: { name: 'SECONDS', fallback: '3' },
    run: 'for ring in /sys/kernel/tracing/instances/*/buffer_size_kb; do echo 16 >"$ring"; done; kill -STOP $(cat /run/mkfwd.pid); end=$(($(cut -d. -f1 /proc/uptime) + $value)); while [ $(cut -d. -f1 /proc/uptime) -lt $end ]; do true; done; kill -CONT $(cat /run/mkfwd.pid)',
  },
  'clock-step': {
    about: 'its wall clock is set forward',
    target: 'any',
    value: { name: 'SECONDS', fallback: '3600' },
    run: 'date -s "@$(($(date +%s) + $value))"',
  },
  'clock-skew': {
    about: 'its clocks run faster (or, below 0, slower) than the truth',
    target: 'any',
    value: { name: 'PPM', fallback: '300' },
    run: 'adjtimex -f $(($value * 65536))',
  },
  'clock-source': {
    about: 'its clock source changes (hpet, acpi_pm, tsc)',
    target: 'any',
    value: { name: 'NAME', fallback: 'hpet' },
    run: 'echo "$value" >/sys/devices/system/clocksource/clocksource0/current_clocksource && cat /sys/devices/system/clocksource/clocksource0/current_clocksource',
  },
  'forwarder-kill': { about: 'its forwarder is killed; it is started again', target: 'any', run: 'kill -9 $(cat /run/mkfwd.pid)' },
  'collector-kill': {
    about: 'the collector is killed; it is started again',
    target: 'lab',
    run: ({ killCollector }) => {
      killCollector();
      return Promise.resolve('killed the collector');
    },
  },
};

/** Does it; throws E_LAB_FAULT where the guest refuses. Resolves with one line on what was done. */
export async function injectFault(name: string, context: FaultContext): Promise<string> {
  const fault = FAULTS[name];
  if (fault === undefined) throw new OperationalError('E_LAB_FAULT', `there is no fault ${name}`, 'mkscope lab fault lists them');
  const { guest } = context;
  if (fault.target === 'spawn' && guest.spec.id === 0) {
    throw new OperationalError(
      'E_LAB_FAULT',
      `${name} is done by the host kernel to a spawned one`,
      'name another kernel: mkscope lab status',
    );
  }
  if (fault.target !== 'lab' && guest.state === 'off') {
    throw new OperationalError('E_LAB_FAULT', `${guest.spec.name} is not running`, `start it: mkscope lab start ${guest.spec.name}`);
  }
  const value = context.value === '' ? (fault.value?.fallback ?? '') : checkValue(name, context.value, fault);
  if (typeof fault.run !== 'string') return fault.run({ ...context, value });
  return runInGuest(guest, fault.run.replaceAll('$value', value), `${name}: ${fault.about}`);
}

function checkValue(name: string, value: string, fault: Fault): string {
  if (fault.value === undefined) throw new OperationalError('E_LAB_FAULT', `${name} takes no value`, `mkscope lab fault KERNEL ${name}`);
  const isNumber = fault.value.name !== 'NAME';
  if (isNumber ? /^-?\d{1,9}$/.test(value) : /^[\w-]{1,32}$/.test(value)) return value;
  throw new OperationalError('E_LAB_FAULT', `${name}: ${value} is no ${fault.value.name}`, `for example ${fault.value.fallback}`);
}

async function tell(host: Guest, command: string): Promise<string> {
  return runInGuest(host, `echo "${command}" >${CONTROL}`, `the host kernel was told: ${command}`);
}

/** A guest that dies of it answers nothing; one that refuses says why. */
async function runInGuest(guest: Guest, command: string, done: string): Promise<string> {
  const answer = await guest.run(command, ANSWER_TIMEOUT_MS);
  if (answer !== undefined && answer.code !== 0) {
    throw new OperationalError(
      'E_LAB_FAULT',
      `${guest.spec.name}: ${answer.output.trim() || `exit code ${answer.code}`}`,
      `see its console: mkscope lab console ${guest.spec.name}`,
    );
  }
  return answer === undefined ? `${done} (it no longer answers)` : done;
}

/** The host waits up to 30 s for a graceful halt, and a soft lockup keeps the one CPU of a guest busy. */
const ANSWER_TIMEOUT_MS = 35_000;
