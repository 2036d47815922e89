/**
 * Addresses as the kernel prints them in a trace:
 *
 *   vfs_read                                    by default, without its module
 *   vfs_read+0x9d/0x190 [module]                sym-offset, and wherever an offset belongs to the event
 *   vfs_read <ffffffff812a3b40>                 sym-addr
 *   0xffffffffc0000000                          no symbol
 *   [unknown/kretprobe'd]                       the return of a probed function goes through a trampoline
 *
 * Kernel: kernel/trace/trace_output.c (seq_print_ip_sym), kernel/kallsyms.c.
 */
import { TWO_POW_32 } from '../base/int64.ts';
import type { Kallsyms, KernelSymbol } from './kallsyms.ts';
import { putHex } from './trace-text-context.ts';
import type { TextOut } from './text-out.ts';

const TRAMPOLINE = /^(?:arch_rethook_trampoline|__kretprobe_trampoline|kretprobe_trampoline)$/;

const PAGE_BYTES = 4096;
const PAGE_MASK = PAGE_BYTES - 1;

/** Addresses of user space lie below. */
const KERNEL_HALF = 1n << 63n;

export interface SymbolStyle {
  readonly offset: boolean;
  readonly address: boolean;
}

export class SymbolText {
  readonly #symbols: Kallsyms;
  readonly #style: SymbolStyle;
  readonly #digits: number;
  #end: { readonly low: number; readonly high: number } | undefined;
  #code: { readonly from: bigint; readonly to: bigint } | undefined;

  constructor(symbols: Kallsyms, style: SymbolStyle, longBytes: 4 | 8) {
    this.#symbols = symbols;
    this.#style = style;
    this.#digits = longBytes * 2;
  }

  /** As the options say. */
  put(out: TextOut, low: number, high: number): void {
    this.#put(out, low, high, this.#style.offset);
  }

  /** With the offset, whatever the options say. */
  putWithOffset(out: TextOut, low: number, high: number): void {
    this.#put(out, low, high, true);
  }

  putWithoutOffset(out: TextOut, low: number, high: number): void {
    this.#put(out, low, high, false);
  }

  #put(out: TextOut, low: number, high: number, withOffset: boolean): void {
    if ((low | high) === 0) {
      out.putByte(48);
      return;
    }
    const symbol = this.#find(low, high);
    if (symbol === undefined) {
      out.putText('0x');
      putHex(out, low | 0, high | 0, withOffset ? 1 : 8);
    } else if (symbol.offset === 0 && TRAMPOLINE.test(symbol.name)) out.putText("[unknown/kretprobe'd]");
    else if (withOffset) putOffset(out, symbol);
    else out.putPiece(symbol.piece);
    if (this.#style.address) this.putAddress(out, low, high);
  }

  /** What the kernel's own look-up finds: trampolines of ftrace and kprobes it lists, but has no names for. */
  #find(low: number, high: number): KernelSymbol | undefined {
    const symbol = this.#symbols.find(low, high);
    if (symbol === undefined || symbol.name === '__this_module' || symbol.module.startsWith('__builtin__')) return undefined;
    const isBehind = symbol.module === '' ? this.#isBehindKernel(low, high) : this.#isBehindModule(symbol, low, high);
    return isBehind ? undefined : symbol;
  }

  /** No file says where a module ends. Behind it lies a page that nothing is in, and then perhaps a trampoline. */
  #isBehindModule({ offset, size, module }: KernelSymbol, low: number, high: number): boolean {
    if (offset < PAGE_BYTES || Math.floor(((low & PAGE_MASK) - offset) / PAGE_BYTES) > -2) return false;
    const toNext = size - offset;
    const nextLow = (low >>> 0) + toNext;
    const next = size === 0 ? undefined : this.#symbols.find(nextLow | 0, (high + Math.floor(nextLow / TWO_POW_32)) | 0);
    return next?.module !== module;
  }

  /** Where modules lie, and what has no name at all: the kernel's last symbol says nothing of it. */
  #isBehindKernel(low: number, high: number): boolean {
    if (this.#end === undefined) {
      const end = this.addressOf('_end') ?? 0xffff_ffff_ffff_ffffn;
      this.#end = { low: Number(end & 0xffff_ffffn), high: Number(end >> 32n) };
    }
    const above = (high >>> 0) - this.#end.high;
    return above > 0 || (above === 0 && low >>> 0 >= this.#end.low);
  }

  /** ` <ffffffff812a3b40>`. */
  putAddress(out: TextOut, low: number, high: number): void {
    out.putText(' <');
    putHex(out, low | 0, this.#digits === 8 ? 0 : high | 0, this.#digits);
    out.putByte(62);
  }

  /** `%ps`: the name with its module. */
  putName(out: TextOut, low: number, high: number): void {
    const symbol = this.#find(low, high);
    if (symbol === undefined) {
      out.putText('0x');
      out.putHexWords(low | 0, high | 0);
      return;
    }
    out.putPiece(symbol.piece);
    if (symbol.module !== '') out.putText(` [${symbol.module}]`);
  }

  /** `%pS`. */
  putSymbol(out: TextOut, low: number, high: number): void {
    const symbol = this.#find(low, high);
    if (symbol !== undefined) putOffset(out, symbol);
  }

  /** Does the address lie in the kernel's code or in a module? */
  isCode(address: bigint): boolean {
    this.#code ??= { from: this.addressOf('_stext') ?? 0n, to: this.addressOf('_etext') ?? 0n };
    if (address >= this.#code.from && address < this.#code.to) return true;
    const symbol =
      address < KERNEL_HALF ? undefined : this.#find(Number(BigInt.asIntN(32, address)), Number(BigInt.asIntN(32, address >> 32n)));
    return symbol !== undefined && symbol.module !== '' && symbol.offset < symbol.size;
  }

  addressOf(name: string): bigint | undefined {
    return this.#symbols.addressOf(name);
  }
}

function putOffset(out: TextOut, symbol: KernelSymbol): void {
  out.putPiece(symbol.piece);
  out.putText('+0x');
  out.putHexWords(symbol.offset | 0, 0);
  out.putText('/0x');
  out.putHexWords(symbol.size | 0, 0);
  if (symbol.module !== '') out.putText(` [${symbol.module}]`);
}
