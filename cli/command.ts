/** What a command is: a table of options, examples, and a function that gets the parsed flags and returns the exit code. */
import { parseFlags } from './flags.ts';
import type { FlagValues, OptionTable } from './flags.ts';

export interface CommandSpec<Options extends OptionTable> {
  readonly name: string;
  /** After `mkscope <name>`: `[options] FILE…`. */
  readonly usage: string;
  /** One paragraph for `--help`. */
  readonly about: string;
  readonly options: Options;
  /** [command line, what it does]. */
  readonly examples: readonly (readonly [line: string, meaning: string])[];
  /** How many arguments that are no options it takes; none by default. */
  readonly positionals?: { readonly least: number; readonly most: number };
  /** Runs until it is told to stop: it outlives its standard output. */
  readonly service?: boolean;
  run(flags: FlagValues<Options>, positionals: readonly string[]): Promise<number>;
}

/** An entry of a table of commands: loaded when it is called, so that `mkscope logs` never pays for the database. */
export interface CommandEntry {
  readonly summary: string;
  load(): Promise<Command | CommandGroup>;
}

/** A word that stands before commands of its own: `mkscope lab up`. */
export interface CommandGroup {
  readonly name: string;
  readonly about: string;
  readonly commands: Readonly<Record<string, CommandEntry>>;
}

export function isGroup(found: Command | CommandGroup): found is CommandGroup {
  return 'commands' in found;
}

/** A command with its option types sealed in. */
export interface Command extends Omit<CommandSpec<OptionTable>, 'run'> {
  execute(argv: readonly string[]): Promise<number>;
}

export function defineCommand<const Options extends OptionTable>(spec: CommandSpec<Options>): Command {
  return {
    ...spec,
    async execute(argv) {
      const { flags, positionals } = parseFlags(spec.name, spec.options, argv, spec.positionals);
      return spec.run(flags, positionals);
    },
  };
}
