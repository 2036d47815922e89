/** Kinds of configuration values: each takes what YAML gives and what stands as text in a flag or an environment variable. */
import { isIP } from 'node:net';
import { z } from 'zod';

import { parseGuestAddress } from '../collector/guest-address.ts';
import { splitPairs } from './config-flags.ts';
import { parseDurationMs, parseSizeBytes } from './units.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export const text = z.string().min(1, 'must not be empty');

export const flag = z.union(
  [z.boolean(), z.enum(['true', 'yes', 'on', '1']).transform(() => true), z.enum(['false', 'no', 'off', '0']).transform(() => false)],
  'must be true or false',
);

/** What becomes of trace pages. */
export const shipping = z.union([flag, z.literal('on-request')], 'must be true, false or on-request');

export const url = z
  .string()
  .refine((value) => /^https?:\/\/[^/]/.test(value) && URL.canParse(value), 'must be an http:// or https:// address');

export function choice<const Word extends string>(words: readonly Word[]) {
  return z.enum(words, `must be one of: ${words.join(', ')}`);
}

export function count(least: number, most: number) {
  const message = `must be a whole number from ${least} to ${most}`;
  return z
    .union([z.number(), z.string().regex(/^\d+$/).transform(Number)], message)
    .refine((value) => Number.isInteger(value) && value >= least && value <= most, message);
}

/** In ms; written `500ms`, `10s`, `5m`, `30d`. */
export function durationMs(leastMs: number, mostMs: number) {
  return z
    .string('must be a duration: 500ms, 10s, 5m, 12h, 30d')
    .transform(parseDurationMs)
    .refine((value) => value !== undefined, 'must be a duration: 500ms, 10s, 5m, 12h, 30d')
    .transform((value) => value ?? 0)
    .refine((value) => value >= leastMs && value <= mostMs, `must be between ${leastMs} ms and ${mostMs} ms`);
}

/** In bytes; written `64MiB`, `1.5G`, `4096`. */
export function sizeBytes(leastBytes: number, mostBytes: number) {
  return z
    .union([z.string(), z.number().transform(String)], 'must be a size: 64MiB, 2G, 4096')
    .transform(parseSizeBytes)
    .refine((value) => value !== undefined, 'must be a size: 64MiB, 2G, 4096')
    .transform((value) => value ?? 0)
    .refine((value) => value >= leastBytes && value <= mostBytes, `must be between ${leastBytes} and ${mostBytes} bytes`);
}

/** `host:port`, `[v6]:port`, or a port on loopback; port 0 = any free one. */
export const address = z
  .union([z.string(), z.number().transform(String)], 'must be host:port')
  .transform(parseAddress)
  .refine((value) => value !== undefined, 'must be host:port, for example 127.0.0.1:4319')
  .transform((value): Address => value ?? { host: '127.0.0.1', port: 0 });

export function parseAddress(written: string): Address | undefined {
  const match = /^(?:(\[[0-9a-fA-F:.]+\]|[^[\]:\s/]*):)?(\d{1,5})$/.exec(written);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) return undefined;
  const host = (match[1] ?? '').replace(/^\[|\]$/g, '');
  return { host: host === '' ? '127.0.0.1' : host, port };
}

export function formatAddress({ host, port }: Address): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** A YAML list, or text with commas. */
export const list = z
  .union([z.array(text), z.string().transform((value) => value.split(',').map((item) => item.trim()))], 'must be a list of words')
  .transform((items) => items.filter((item) => item !== ''));

const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

/** A YAML map of text, or `NAME=VALUE` with commas. */
export const names = z
  .union([z.record(z.string(), text), z.string().transform(splitPairs)], 'must be a map of "name: value" lines')
  .refine(
    (pairs) => pairs !== undefined && Object.keys(pairs).every((name) => NAME.test(name)),
    'must be NAME=VALUE, names of letters, digits, "_", "-" and "."',
  )
  .transform((pairs) => pairs ?? {});

const guestAddress = text.superRefine((from, check) => {
  const address = parseGuestAddress(from);
  if (typeof address === 'string') check.addIssue({ code: 'custom', message: `is no address of a stream: ${address}` });
});
const kernelRule = z.union([z.literal('any'), count(0, 65_535)], 'must be a kernel id, or any');
const stream = z.union(
  [
    guestAddress.transform((from) => ({ from, kernel: undefined, console: undefined })),
    z.strictObject({ from: guestAddress, kernel: kernelRule.optional(), console: text.optional() }),
  ],
  { error: (issue) => firstMessage(issue) ?? 'must be an address, or { from: ADDRESS, kernel: ID, console: ADDRESS }' },
);

/** The reason of a union's member that knows more than that it is the wrong kind. */
function firstMessage(issue: {
  readonly errors?: readonly (readonly { readonly code?: string; readonly message?: string }[])[];
}): string | undefined {
  return issue.errors?.flat().find(({ code }) => code === 'custom' || code === 'invalid_union' || code === 'unrecognized_keys')?.message;
}

/** Guests by name: an address, or an address with the kernel that it may be. */
export const streams = z
  .preprocess(
    (written) => (typeof written === 'string' ? (splitPairs(written) ?? written) : written),
    z.record(z.string(), stream, 'must be a map of "name: address" lines'),
  )
  .refine((all) => Object.keys(all).every((name) => NAME.test(name)), 'must be NAME=ADDRESS, names of letters, digits, "_", "-" and "."');

/** `10.0.0.2`, `10.0.0.2:6665`, `fe80::2`, `[fe80::2]:6665`: who sends; a name would have to be looked up, and could change. */
const senderAddress = text.refine((from) => {
  const withPort = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(from);
  return isIP(withPort?.[1] ?? withPort?.[2] ?? from) !== 0 && Number(withPort?.[3] ?? 1) <= 65_535;
}, 'must be an IP address, with or without a port: 10.0.0.2, 10.0.0.2:6665, [fe80::2]:6665');
const sender = z.union(
  [
    senderAddress.transform((from) => ({ from, kernel: undefined })),
    z.strictObject({ from: senderAddress, kernel: count(0, 65_535).optional() }),
  ],
  { error: (issue) => firstMessage(issue) ?? 'must be an address, or { from: ADDRESS, kernel: ID }' },
);

/** Kernels that send, by name. */
export const senders = z
  .preprocess(
    (written) => (typeof written === 'string' ? (splitPairs(written) ?? written) : written),
    z.record(z.string(), sender, 'must be a map of "name: address" lines'),
  )
  .refine((all) => Object.keys(all).every((name) => NAME.test(name)), 'must be NAME=ADDRESS, names of letters, digits, "_", "-" and "."');

/** Addresses to listen on: a YAML list, or text with commas. */
export const addresses = z.union([
  z.array(address),
  z
    .union([z.string(), z.number().transform(String)], 'must be host:port')
    .transform((written) => written.split(',').map((one) => parseAddress(one.trim())))
    .refine((all) => all.every((one) => one !== undefined), 'must be host:port, for example 10.77.0.1:6666')
    .transform((all) => all.filter((one) => one !== undefined)),
]);
