/** `mkscope …`: finds the command, runs it, turns what happened into an exit code. */
import { OperationalError } from '../base/errors.ts';
import { isGroup, type Command, type CommandEntry, type CommandGroup } from './command.ts';
import { COMMANDS } from './commands/index.ts';
import { formatCommandHelp, formatGroupHelp, formatOverview } from './help.ts';
import { suggest } from './nearest.ts';
import { reportError, watchBugs, watchOutput } from './report-error.ts';
import { print } from './terminal.ts';
import { readVersion } from './package-root.ts';

let isService = false;

async function runCommandLine(argv: readonly string[]): Promise<number> {
  const [first] = argv;
  if (first === undefined || first === '--help' || first === '-h' || first === 'help') return showHelp(first, argv.slice(1));
  if (first === '--version' || first === '-V') {
    await print(`mkscope ${readVersion()}\n`);
    return 0;
  }
  const { found, argv: rest } = await findCommand(argv);
  if (isGroup(found)) {
    if (isHelpAsked(rest)) await print(formatGroupHelp(found));
    else process.stderr.write(formatGroupHelp(found));
    return isHelpAsked(rest) ? 0 : 2;
  }
  if (isHelpAsked(rest)) {
    await print(formatCommandHelp(found));
    return 0;
  }
  isService = found.service === true;
  return found.execute(rest);
}

async function showHelp(asked: string | undefined, names: readonly string[]): Promise<number> {
  if (asked === 'help' && names.length > 0) {
    const { found } = await findCommand(names);
    await print(isGroup(found) ? formatGroupHelp(found) : formatCommandHelp(found));
    return 0;
  }
  // Nothing was asked for: the overview goes to standard error, and a script sees that it did nothing.
  if (asked === undefined) {
    process.stderr.write(formatOverview());
    return 2;
  }
  await print(formatOverview());
  return 0;
}

/** Walks the tables as far as words name an entry; what is left of `argv` is the command's. */
async function findCommand(argv: readonly string[]): Promise<{ found: Command | CommandGroup; argv: readonly string[] }> {
  let table: Readonly<Record<string, CommandEntry>> = COMMANDS;
  let path = 'mkscope';
  for (let at = 0; ; at++) {
    const name = argv[at] ?? '';
    const entry = Object.hasOwn(table, name) ? table[name] : undefined;
    if (entry === undefined) {
      const what = name.startsWith('-') ? `option ${name} before the command` : `command "${name}"`;
      const where = path === 'mkscope' ? '' : ` of ${path}`;
      throw new OperationalError(
        'E_ARGS',
        `there is no ${what}${where}${suggest(name, Object.keys(table))}`,
        `${path} --help lists the commands`,
      );
    }
    const found = await entry.load();
    const rest = argv.slice(at + 1);
    if (!isGroup(found) || rest[0] === undefined || rest[0] === '--help' || rest[0] === '-h') return { found, argv: rest };
    table = found.commands;
    path = `mkscope ${found.name}`;
  }
}

function isHelpAsked(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end < 0 ? argv.length : end).some((arg) => arg === '--help' || arg === '-h');
}

watchBugs();
watchOutput(() => isService);
process.exitCode = await runCommandLine(process.argv.slice(2)).catch(reportError);
