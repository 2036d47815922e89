/** Targets for small lists and languages: symbols of a kernel, its loaded images, filters of events. */
import { encodeUtf8 } from '../../base/bytes.ts';
import { joinEventFilters, parseEventFilter, type EventFilter } from '../../correlate/event-filter.ts';
import { Kallsyms } from '../../export/kallsyms.ts';
import { parseKimage } from '../../parsers/kimage.ts';
import { countOutcome, Violation, type Target } from './target.ts';

const MAX_MESSAGE_CHARS = 700;
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

const SYMBOLS = `0000000000000000 A fixed_percpu_data
ffffffff81000000 T _text
ffffffff81000000 T startup_64
ffffffff81000110 t vfs_read
ffffffff81000110 T __pfx_vfs_read
ffffffff81000200 T $d.1
ffffffffc0412000 t nf_conntrack_in\t[nf_conntrack]
ffffffffc0410000 t br_handle_frame\t[bridge]
`;
const ADDRESSES = [0n, 0xffff_ffff_8100_0000n, 0xffff_ffff_8100_0118n, 0xffff_ffff_c041_2004n, 0xffff_ffff_ffff_ffffn] as const;

const kallsyms: Target = {
  id: 'kallsyms',
  seeds: () => [SYMBOLS, SYMBOLS.split('\n').reverse().join('\n'), 'c1000000 T _text\nc1000010 t x\n'].map(encodeUtf8),
  open: () => ({
    outcomes: new Map(),
    run(input) {
      for (const pick of ['first', 'bisected'] as const) {
        const symbols = new Kallsyms(() => input, pick);
        for (const address of ADDRESSES) {
          const found = symbols.find(Number(BigInt.asIntN(32, address)), Number(BigInt.asIntN(32, address >> 32n)));
          if (found === undefined) continue;
          const { name, module, offset, size } = found;
          if (name.length + module.length > input.length) throw new Violation(`name: ${name.length} characters of ${input.length} bytes`);
          if (!(offset >= 0 && size >= 0) || offset > Number(address)) throw new Violation(`offset: ${offset} of ${size}`);
          countOutcome(this.outcomes, pick);
        }
        const text = symbols.addressOf('_text');
        if (text !== undefined && text > 0xffff_ffff_ffff_ffffn) throw new Violation(`address: ${text}`);
      }
    },
  }),
};

const kimage: Target = {
  id: 'kimage',
  seeds: () =>
    [
      'MK_ID  Type        Start Address   Segments  Mode  Cmdline\n----------\n   23  multikernel  0x000101000000         4  file  "console=mktty0 loglevel=7"\n',
      '    0  default      0x0000001000000  3  kexec\n    0  crash  0x2f000000  7  file  ""\n',
    ].map(encodeUtf8),
  open: () => ({
    outcomes: new Map(),
    run(input) {
      const images = parseKimage(decoder.decode(input));
      for (const { id, type, commandLine } of images) {
        if (!(id >= 0) || type.length > 32 || commandLine.length > input.length) throw new Violation(`image: ${id} ${type}`);
      }
      if (images.length * 10 > input.length) throw new Violation(`rows: ${images.length} of ${input.length} bytes`);
      countOutcome(this.outcomes, 'rows', images.length);
    },
  }),
};

/** What was read is written for the kernel, and must read the same again. */
const eventFilter: Target = {
  id: 'event_filter',
  maxBytes: 600,
  seeds: () =>
    [
      'sub == 0x2100 && (name == "eth0" || name ~ "mk-*")',
      '!(prev_pid > 4 && prio <= -1) || flags & 0x10',
      "comm != 'a b' && x < 18446744073709551615",
    ].map(encodeUtf8),
  open: () => ({
    outcomes: new Map(),
    run(input) {
      const source = decoder.decode(input);
      let written: string | undefined;
      try {
        written = joinEventFilters([source, source]);
      } catch (error) {
        // Its contract: an Error that says what is wrong, and no other.
        if (!(error instanceof Error) || error.constructor !== Error) throw error;
        if (error.message.length > MAX_MESSAGE_CHARS) throw new Violation(`message: ${error.message.length} characters`);
        return countOutcome(this.outcomes, error.message.replaceAll(/"[^]*?"/g, '…'));
      }
      const filter = parseEventFilter(source);
      countOutcome(this.outcomes, filter.kind);
      const again = readAgain(written ?? '');
      const wanted = JSON.stringify({ kind: 'any', parts: [filter, filter] }, toText);
      if (again !== undefined && JSON.stringify(again, toText) !== wanted)
        throw new Violation('again: it reads otherwise as it is written');
    },
  }),
};

/** undefined where it got too long or, by the brackets that are put around each part, too deep for us: the kernel takes it. */
function readAgain(written: string): EventFilter | undefined {
  try {
    return parseEventFilter(written);
  } catch (error) {
    if (error instanceof Error && /^it (?:has \d+ characters|is nested)/.test(error.message)) return undefined;
    throw error;
  }
}

function toText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value;
}

export const LIST_TARGETS: readonly Target[] = [kallsyms, kimage, eventFilter];
