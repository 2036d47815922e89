import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { MESSAGE_SECTIONS, type MessageRule } from '../../correlate/message-catalogue.ts';
import { compilePattern } from '../../correlate/message-pattern.ts';

const PATH = join(import.meta.dirname, '../../docs/messages.md');
const HEADING = '## The catalogue\n';
const INTRODUCTION = 'Written from `correlate/messages/` by `npm run golden`. *side*: who prints it.\n';

test('messages: docs/messages.md has the whole catalogue as it is', () => {
  const text = readFileSync(PATH, 'utf8');
  const at = text.indexOf(HEADING);
  assert.ok(at > 0);
  const wanted = [`${text.slice(0, at)}${HEADING}`, INTRODUCTION, ...MESSAGE_SECTIONS.map(formatSection)].join('\n');
  if (process.env['MKSCOPE_GOLDEN'] === 'update') writeFileSync(PATH, wanted);
  else assert.equal(text, wanted, 'docs/messages.md is stale: npm run golden rewrites it');
});

function formatSection({ title, rules }: { readonly title: string; readonly rules: readonly MessageRule[] }): string {
  return [
    `### ${title}\n`,
    '| event | level, side | what happened, and patterns | attributes |',
    '| --- | --- | --- | --- |',
    ...rules.map(formatRule),
    '',
  ].join('\n');
}

function formatRule({ event, level, side, about, patterns, prefix, benign, fromUser }: MessageRule): string {
  const who = fromUser === undefined ? side : `${side}, user space`;
  const note =
    benign === undefined ? '' : ` *Benign${benign.after === undefined ? '' : ` behind \`${benign.after.event}\``}: ${benign.why}.*`;
  const attributes = new Set(patterns.flatMap((pattern) => compilePattern(pattern).fields.map(({ name }) => `\`${prefix}${name}\``)));
  const shown = patterns.map((pattern) => `\`${escape(pattern.trim())}\``).join('<br>');
  return `| \`${event}\` | ${level}, ${who} | ${about}${note}<br>${shown} | ${[...attributes].join(' ')} |`;
}

/** A pipe ends a cell, in code too. */
function escape(text: string): string {
  return text.replaceAll('|', String.raw`\|`);
}
