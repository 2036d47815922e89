/** Help texts, written from the tables: the same text that `docs/cli.md` carries. */
import type { Command, CommandGroup } from './command.ts';
import { COMMANDS } from './commands/index.ts';
import type { OptionTable } from './flags.ts';

export function formatOverview(): string {
  return `mkscope: every kernel of one machine, on one timeline

Usage: mkscope <command> [options]

Commands:
${formatSummaries(COMMANDS)}

Options:
  --help, -h  with a command: what it takes, and examples
  --version   print the version

Begin with \`mkscope up\`, then \`mkscope logs -f\` or http://127.0.0.1:4319.
What a machine lets mkscope see: \`mkscope doctor\`.
`;
}

export function formatGroupHelp({ name, about, commands }: CommandGroup): string {
  return `mkscope ${name}: ${about}

Usage: mkscope ${name} <command> [options]

Commands:
${formatSummaries(commands)}

\`mkscope ${name} <command> --help\` shows what it takes, and examples.
`;
}

export function formatCommandHelp(command: Command): string {
  const width = Math.max(...command.examples.map(([line]) => line.length));
  const examples = command.examples.map(([line, meaning]) => `  ${line.padEnd(width)}  # ${meaning}`);
  return `mkscope ${command.name}: ${command.about}

Usage: mkscope ${command.name} ${command.usage}

Options:
${formatOptions(command.options)}

Examples:
${examples.join('\n')}
`;
}

function formatSummaries(commands: CommandGroup['commands']): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  return Object.entries(commands)
    .map(([name, entry]) => `  ${name.padEnd(width)}  ${entry.summary}`)
    .join('\n');
}

function formatOptions(options: OptionTable): string {
  const rows: [string, string][] = Object.entries(options).map(([name, option]) => {
    const short = option.short === undefined ? '' : `-${option.short}, `;
    const value = option.type === 'string' ? ` ${option.value ?? 'VALUE'}` : '';
    return [`${short}--${name}${value}`, option.help];
  });
  rows.push(['-h, --help', 'show this']);
  const width = Math.max(...rows.map(([flag]) => flag.length));
  return rows.map(([flag, help]) => `  ${flag.padEnd(width)}  ${help}`).join('\n');
}
