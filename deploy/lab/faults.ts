/**
 * The menu of faults: each is something that happens to real kernels, done to a real kernel. What is run in the guest stands as
 * the shell command that does it; `later` and `tune` are functions of guest/init.sh. What each leaves in the log: docs/lab.md.
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

interface FaultValue {
  readonly name: string;
  readonly fallback: string;
  /** Bounds of a number: below, the kernel's own detector would stay silent. A value without bounds is a word. */
  readonly range?: readonly [number, number];
}

interface Fault {
  readonly about: string;
  /** Which kernels it makes sense for. */
  readonly target: 'any' | 'spawn' | 'lab';
  readonly value?: FaultValue;
  /** Where it is done to a kernel that does not run commands: one that hangs, or is booting. */
  readonly whenSilent?: true;
  /** Shell command for the guest, or what the lab does itself; resolves with what happened, in words. */
  readonly run: string | ((context: FaultContext) => Promise<string>);
}

const SYSCTL = '/proc/sys/kernel';
const INJECT = '/sys/kernel/mkfault/inject';
const CONTROL = '/sys/kernel/mkikc/ctl';
const CLOCK_SOURCE = '/sys/devices/system/clocksource/clocksource0';
const INSTANCES = '/sys/kernel/tracing/instances';
/** The forwarder's, or that of a collector inside. */
const RING_SIZES = `${INSTANCES}/mkscope-guest/buffer_size_kb ${INSTANCES}/mkscope-[0-9]*/buffer_size_kb`;
/** Bit 7: the kernel has oopsed, and looks for hung tasks no more. */
const HAS_OOPSED = `[ $(($(cat ${SYSCTL}/tainted) / 128 % 2)) = 1 ]`;

/** The detectors wait for 10 s and longer; they are made quick for as long as the fault lasts and its reports take. */
// Twice the threshold, in a clock of whole 1.07 s, seen every 0.8 s: a lockup of 6 s is missed at times.
const WATCHDOG = `tune ${SYSCTL}/watchdog_thresh 2 $(($value + 10))`;
const STALL_TIMEOUT = 'tune /sys/module/rcupdate/parameters/rcu_cpu_stall_timeout 3 $(($value + 10))';

const seconds = (fallback: string, least: number): FaultValue => ({ name: 'SECONDS', fallback, range: [least, 600] });
const count = (fallback: string): FaultValue => ({ name: 'COUNT', fallback, range: [1, 1_000_000] });

/** `$value` stands for the number behind the name. Commands that kill the guest answer nothing. */
export const FAULTS: Readonly<Record<string, Fault>> = {
  panic: { about: 'the kernel panics', target: 'any', run: `echo 1 >${SYSCTL}/sysrq; echo c >/proc/sysrq-trigger` },
  oops: { about: 'a NULL dereference in a kernel thread', target: 'any', run: `echo oops >${INJECT}` },
  bug: { about: 'BUG() in a kernel thread', target: 'any', run: `echo bug >${INJECT}` },
  warn: { about: 'a storm of WARNs', target: 'any', value: count('20'), run: `later 'echo "warn $value" >${INJECT}'` },
  'hung-task': {
    about: 'a task hangs uninterruptibly',
    target: 'any',
    value: seconds('8', 5),
    run:
      `if ${HAS_OOPSED}; then echo "after an oops a kernel looks for hung tasks no more: start it anew"; exit 1; fi; ` +
      `tune ${SYSCTL}/hung_task_timeout_secs 2 $(($value + 5)); tune ${SYSCTL}/hung_task_check_interval_secs 1 $(($value + 5)); ` +
      // Ten reports are all that a kernel gives of itself: a second round would be silent.
      `echo -1 >${SYSCTL}/hung_task_warnings; echo "hungtask $value" >${INJECT}`,
  },
  'hard-lockup': {
    about: 'a CPU neither schedules nor takes interrupts',
    target: 'any',
    value: seconds('12', 8),
    run: ({ guest, value }) => lockUp(guest, value),
  },
  'soft-lockup': {
    about: 'a CPU does not schedule',
    target: 'any',
    value: seconds('12', 8),
    run: `${WATCHDOG}; later 'echo "softlockup $value" >${INJECT}'`,
  },
  'rcu-stall': {
    about: 'a CPU stalls RCU',
    target: 'any',
    value: seconds('12', 6),
    run:
      // Its thread needs a CPU to begin what then stalls, and to tell.
      'if [ $(nproc) = 1 ]; then echo "with one CPU RCU cannot tell that it stalls: start the lab with --cpus 2"; false; else ' +
      `${STALL_TIMEOUT}; later 'echo "rcustall $value" >${INJECT}'; fi`,
  },
  oom: { about: 'memory runs out; the kernel kills', target: 'any', run: "later 'tail /dev/zero'" },
  'printk-flood': {
    about: 'a flood of kernel messages, more than the ring of the kernel log holds',
    target: 'any',
    value: count('20000'),
    // Through the serial console 20,000 lines take half a minute, in which every reader keeps up.
    run: `later 'dmesg -n 6; echo "printkflood $value" >${INJECT}; dmesg -n 7'`,
  },
  'power-off': { about: 'the kernel powers itself off', target: 'any', run: 'sync; poweroff -f' },
  halt: {
    about: 'the host asks the kernel to halt, and waits for its answer, at most 30 s',
    target: 'spawn',
    whenSilent: true,
    run: ({ guest, host }) => tell(host, `halt ${guest.spec.id}`),
  },
  kill: {
    about: 'the host halts the kernel by force',
    target: 'spawn',
    whenSilent: true,
    run: ({ guest, host }) => tell(host, `kill ${guest.spec.id}`),
  },
  'power-cut': {
    about: 'the kernel is gone from one instruction to the next, without a word',
    target: 'any',
    whenSilent: true,
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
      return Promise.resolve('stopped all its CPUs; "resume" lets them run again');
    },
  },
  resume: {
    about: 'ends a hang',
    target: 'any',
    whenSilent: true,
    run: ({ guest }) => {
      if (guest.state !== 'paused') return refuse(`${guest.spec.name} does not hang`, `mkscope lab fault ${guest.spec.name} hang`);
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
    value: count('1'),
    run: `echo "ack drop $value" >${CONTROL}`,
  },
  'ack-delay': {
    about: 'the kernel answers its next 10 requests late',
    target: 'any',
    value: { name: 'MS', fallback: '200', range: [1, 60_000] },
    run: `echo "ack delay $value 10" >${CONTROL}`,
  },
  'trace-overrun': {
    about: 'the forwarder, or the collector inside, sleeps while a small trace buffer fills, and wakes up again',
    target: 'any',
    value: seconds('3', 1),
    run:
      // Each turn of the loop starts a process: there is something to trace.
      `later 'for size in ${RING_SIZES}; do [ -e "$size" ] && ring=$size; done; echo 16 >"$ring"; ` +
      'reader=$(cat /run/reader.pid); kill -STOP $reader; end=$(($(cut -d. -f1 /proc/uptime) + $value)); ' +
      'while [ $(cut -d. -f1 /proc/uptime) -lt $end ]; do true; done; kill -CONT $reader; ' +
      `echo $(setting mkscope.buffer_kb 1024) >"$ring"'`,
  },
  'clock-step': {
    about: 'its wall clock is set forward (or, below 0, back)',
    target: 'any',
    value: { name: 'SECONDS', fallback: '3600', range: [-100_000_000, 100_000_000] },
    run: 'date -s "@$(($(date +%s) + $value))"',
  },
  'clock-skew': {
    about: 'its clocks run faster (or, below 0, slower) than the truth; 0 ends it',
    target: 'any',
    value: { name: 'PPM', fallback: '300', range: [-90_000, 90_000] },
    run: ({ guest, value }) => skewClock(guest, Number(value)),
  },
  'clock-source': {
    about: 'its clock source changes (hpet, acpi_pm, tsc)',
    target: 'any',
    value: { name: 'NAME', fallback: 'hpet' },
    run:
      `echo "$value" >${CLOCK_SOURCE}/current_clocksource; is=$(cat ${CLOCK_SOURCE}/current_clocksource); ` +
      `[ "$is" = "$value" ] || { echo "its clock source is $is; it has $(cat ${CLOCK_SOURCE}/available_clocksource)"; exit 1; }`,
  },
  'forwarder-kill': {
    about: 'its forwarder, or the collector inside of it, is killed; it is started again',
    target: 'any',
    run: 'kill -9 $(cat /run/reader.pid)',
  },
  'collector-kill': {
    about: 'the collector is killed; it is started again (of whichever kernel: it reads all)',
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
  if (fault === undefined) return refuse(name === '' ? 'which fault?' : `there is no fault ${name}`, 'mkscope lab fault lists them');
  const { guest } = context;
  const value = context.value === '' ? (fault.value?.fallback ?? '') : checkValue(name, context.value, fault);
  if (fault.target === 'spawn' && guest.spec.id === 0) {
    return refuse(`${name} is done by the host kernel to a spawned one`, 'name another kernel: mkscope lab status');
  }
  if (fault.target !== 'lab') checkState(guest, fault.whenSilent === true);
  if (typeof fault.run !== 'string') return fault.run({ ...context, value });
  const done = `${name}: ${fault.about}${fault.value === undefined ? '' : ` (${fault.value.name} ${value})`}`;
  return runInGuest(guest, fault.run.replaceAll('$value', value), done);
}

function checkState({ spec: { name }, state }: Guest, mayBeSilent: boolean): void {
  if (state === 'off') refuse(`${name} is not running`, `start it: mkscope lab start ${name}`);
  if (mayBeSilent || state === 'up') return;
  if (state === 'paused') refuse(`${name} hangs`, `end that first: mkscope lab fault ${name} resume`);
  refuse(`${name} is booting`, 'wait until it is up: mkscope lab status');
}

function checkValue(name: string, text: string, { value }: Fault): string {
  if (value === undefined) return refuse(`${name} takes no value`, `mkscope lab fault KERNEL ${name}`);
  const { range, fallback } = value;
  if (range === undefined)
    return /^[\w-]{1,32}$/.test(text) ? text : refuse(`${name}: ${text} is no ${value.name}`, `for example ${fallback}`);
  const [least, most] = range;
  const isGood = /^-?\d{1,9}$/.test(text) && Number(text) >= least && Number(text) <= most;
  return isGood ? String(Number(text)) : refuse(`${name}: ${text} is no ${value.name} from ${least} to ${most}`, `for example ${fallback}`);
}

/**
 * QEMU emulates no NMI watchdog. Another CPU sees the stall of RCU; with PREEMPT_RT it does not, but the CPU's own soft-lockup
 * detector speaks afterwards, if it had a turn before. With one CPU nobody is left to see it.
 */
async function lockUp(guest: Guest, value: string): Promise<string> {
  const detector = guest.spec.release.includes('-rt-') ? WATCHDOG : STALL_TIMEOUT;
  const command = `${detector}; later 'sleep 2; echo "hardlockup ${value}" >${INJECT}'`;
  const done = `hard-lockup: a CPU neither schedules nor takes interrupts (SECONDS ${value})`;
  const silence = guest.spec.cpus === 1 ? '; it has one CPU: nothing of it will be in its log' : '';
  return runInGuest(guest, command.replaceAll('$value', value), done + silence);
}

/** The kernel takes at most ±500 ppm as a frequency; the rest is the length of a tick, in steps of 100 ppm. */
async function skewClock(guest: Guest, ppm: number): Promise<string> {
  const ticks = Math.round(ppm / 100);
  const frequency = (ppm - ticks * 100) * 65_536;
  return runInGuest(guest, `adjtimex -t ${10_000 + ticks} -f ${frequency}`, `clock-skew: its clocks run ${ppm} ppm fast`);
}

async function tell(host: Guest, command: string): Promise<string> {
  if (host.state !== 'up') return refuse(`the host kernel, which does this, is ${host.state}`, `mkscope lab status`);
  const answer = await host.run(`echo "${command}" >${CONTROL}`, TELL_TIMEOUT_MS);
  if (answer?.code === 0) return `the host kernel was told: ${command}`;
  return refuse(
    `the host kernel was told "${command}": ${answer === undefined ? 'it does not answer' : reasonOf(answer)}`,
    'see its console: mkscope lab console host',
  );
}

/** A guest that dies of it answers nothing; one that refuses says why. */
async function runInGuest(guest: Guest, command: string, done: string): Promise<string> {
  const answer = await guest.run(command, ANSWER_TIMEOUT_MS);
  const { name } = guest.spec;
  if (answer !== undefined && answer.code !== 0)
    return refuse(`${name}: ${reasonOf(answer)}`, `see its console: mkscope lab console ${name}`);
  return answer === undefined ? `${done} (it no longer answers)` : done;
}

function reasonOf({ output, code }: { readonly output: string; readonly code: number }): string {
  return output.trim().replace(/^.*write error: /, '') || `exit code ${code}`;
}

function refuse(message: string, hint: string): never {
  throw new OperationalError('E_LAB_FAULT', message, hint);
}

/** The host waits up to 30 s for a graceful halt. */
const TELL_TIMEOUT_MS = 35_000;
/** Nothing of the menu takes long: what keeps a guest busy comes after its answer. A busy machine is slow. */
const ANSWER_TIMEOUT_MS = 15_000;
