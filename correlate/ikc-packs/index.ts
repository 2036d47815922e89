/** The table of packs: a protocol is one file and one line here. */
import type { IkcPack } from '../ikc-pack.ts';
import { lab } from './lab.ts';
import { multikernel } from './multikernel.ts';
import { popcorn } from './popcorn.ts';
import { tcp } from './tcp.ts';
import { vsock } from './vsock.ts';

export const IKC_PACKS: readonly IkcPack[] = [multikernel, lab, popcorn, vsock, tcp];
