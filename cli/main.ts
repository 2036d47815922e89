/** `mkscope …`: finds the command, runs it, turns what happened into an exit code. */
import { OperationalError } from '../base/errors.ts';
import { COMMANDS } from './commands/index.ts';
import { formatCommandHelp, formatOverview } from './help.ts';
import { suggest } from './nearest.ts';
import { reportError, watchBugs, watchOutput } from './report-error.ts';
import { print } from './terminal.ts';
import { readVersion } from './package-root.ts';

let isService = false;

async function runCommandLine(argv: readonly string[]): Promise<number> {
  const [first, ...rest] = argv;
  if (first === undefined || first === '--help' || first === '-h' || first === 'help') return showHelp(first, rest);
  if (first === '--version' || first === '-V') {
    await print(`mkscope ${readVersion()}\n`);
    return 0;
  }
  const command = await findCommand(first);
  if (isHelpAsked(rest)) {
    await print(formatCommandHelp(command));
    return 0;
  }
  isService = command.service === true;
  return command.execute(rest);
}

async function showHelp(asked: string | undefined, [name]: readonly string[]): Promise<number> {
  if (asked === 'help' && name !== undefined) {
    await print(formatCommandHelp(await findCommand(name)));
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

async function findCommand(name: string) {
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry !== undefined) return entry.load();
  const what = name.startsWith('-') ? `option ${name} before the command` : `command "${name}"`;
  throw new OperationalError('E_ARGS', `there is no ${what}${suggest(name, Object.keys(COMMANDS))}`, 'mkscope --help lists the commands');
}

function isHelpAsked(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end < 0 ? argv.length : end).some((arg) => arg === '--help' || arg === '-h');
}

watchBugs();
watchOutput(() => isService);
process.exitCode = await runCommandLine(process.argv.slice(2)).catch(reportError);
