import { Command, CommanderError, Option } from 'commander';
import { HyprError } from '../../base/errors.ts';
import type { CommandSpec } from '../core/command-spec.ts';
import type { FlagSpec } from '../core/flag-spec.ts';
import { Flags } from '../core/flags.ts';
import { globalFlags } from './global.ts';
import { formatHelp } from './help.ts';
import { rootCommand } from './tree.ts';

export type Parsed =
  | {
      readonly kind: 'run';
      readonly command: CommandSpec;
      readonly path: readonly string[];
      readonly args: readonly string[];
      readonly flags: Flags;
    }
  /** Help, or the output of `--version`. */
  | { readonly kind: 'print'; readonly text: string };

/**
 * Turns arguments (without node and script) into a command, its arguments and all flags, global ones
 * from before and after the command merged. Throws HYPR_USAGE with a suggestion for what is not known.
 */
export const parseCommandLine = (argv: readonly string[]): Parsed => {
  const parsed = parseAmong(argv, false);
  if (parsed.kind === 'print' && argv[0] === 'help') {
    refuseUnknown(argv.slice(1));
  }
  return parsed;
};

/** `help nosuch`: commander would print the help of hypr. */
const refuseUnknown = (words: readonly string[]): void => {
  let command: CommandSpec | undefined = rootCommand;
  for (const [index, word] of words.entries()) {
    if (word.startsWith('-') || command.commands === undefined) {
      return;
    }
    command = command.commands.find(({ name }) => name === word);
    if (command === undefined) {
      parseAmong(words.slice(0, index + 1), true);
      return;
    }
  }
};

/** `all`: include commands not named on the command line, for suggestions. Building those takes longer than everything else. */
const parseAmong = (argv: readonly string[], all: boolean): Parsed => {
  let parsed: Parsed | undefined;
  let printed = '';
  const named = new Set(argv);
  const report = (result: Parsed): void => {
    parsed = result;
  };
  const root = buildCommand(rootCommand, [], { report, all, isNamed: (name) => named.has(name) });
  const write = (text: string): void => {
    printed += text;
  };
  forEachCommand(root, (command) => command.exitOverride().configureOutput({ writeOut: write, writeErr: write }));
  try {
    root.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      throw error;
    }
    if (error.code === 'commander.unknownCommand' && !all) {
      return parseAmong(argv, true);
    }
    if (error.exitCode !== 0 && error.code !== 'commander.help') {
      throw usageError(error);
    }
  }
  return parsed ?? { kind: 'print', text: printed };
};

/** A command that reads flags as Go's pflag does: `--menu=false`, `-n=5`. */
class GoCommand extends Command {
  readonly spec: CommandSpec;
  readonly path: readonly string[];

  constructor(spec: CommandSpec, path: readonly string[]) {
    super(spec.name);
    this.spec = spec;
    this.path = path;
  }

  override parseOptions(args: string[]): { operands: string[]; unknown: string[] } {
    return super.parseOptions(this.#readGoForms(args));
  }

  override helpInformation(): string {
    return formatHelp(this.spec, this.path);
  }

  // Only up to the first operand: the rest belongs to a sub-command or to a program in the guest.
  #readGoForms(args: readonly string[]): string[] {
    const result: string[] = [];
    const stopsAtOperand = this.commands.length > 0 || this.spec.passThrough === true;
    for (let index = 0; index < args.length; index += 1) {
      const arg = args[index] ?? '';
      const option = this.#find(arg);
      const isOperand = !arg.startsWith('-') || arg === '-';
      if (arg === '--' || (isOperand && stopsAtOperand)) {
        return [...result, ...args.slice(index)];
      }
      const value = /^--?[\w-]+=(.*)$/s.exec(arg)?.[1];
      if (option && value !== undefined) {
        // The last one counts: --rm --rm=false is without.
        const meant = this.#withValue(option, value);
        result.splice(
          0,
          result.length,
          ...result.filter((each) => meant.length > 0 || (each !== option.long && each !== option.short)),
          ...meant,
        );
      } else {
        result.push(arg);
        if (option?.required && /^(--.*|-.)$/s.test(arg) && index + 1 < args.length) {
          index += 1;
          result.push(args[index] ?? '');
        }
      }
    }
    return result;
  }

  #withValue(option: Option, value: string): string[] {
    const flag = option.long ?? '';
    if (option.required) {
      return [`${flag}=${value}`];
    }
    if (!/^(1|t|true|0|f|false)$/i.test(value)) {
      throw new HyprError('HYPR_USAGE', `${flag} is true or false, not "${value}"`);
    }
    if (/^(1|t|true)$/i.test(value)) {
      return [flag];
    }
    this.setOptionValue(option.attributeName(), false);
    return [];
  }

  #find(arg: string): Option | undefined {
    const name = /^(--[\w-]+|-[A-Za-z])(=|$)/.exec(arg)?.[1];
    return name === undefined ? undefined : this.options.find((option) => option.short === name || option.long === name);
  }
}

/** An option that keeps its long name: `--no-build` is a flag of its own, not the negation of `--build`. */
class FlagOption extends Option {
  readonly #name: string;

  constructor(spec: FlagSpec, short: string | undefined) {
    super(`${short ? `-${short}, ` : ''}--${spec.name}${spec.kind === 'bool' ? '' : ' <value>'}`, spec.text);
    this.#name = spec.name;
    this.negate = false;
    if (spec.kind === 'list') {
      this.argParser((value: string, previous: readonly string[] | undefined) => [...(previous ?? []), value]);
    }
  }

  override attributeName(): string {
    return this.#name;
  }
}

interface Building {
  readonly report: (parsed: Parsed) => void;
  /** Whether a word of the command line is this; no other command can be the one to run. */
  readonly isNamed: (name: string) => boolean;
  readonly all: boolean;
}

const buildCommand = (spec: CommandSpec, parents: readonly string[], building: Building): GoCommand => {
  const { report, isNamed, all } = building;
  const path = [...parents, spec.name];
  const command = new GoCommand(spec, path);
  for (const flag of flagsOf(spec)) {
    command.addOption(new FlagOption(flag.spec, flag.short));
  }
  if (spec.flags?.some(({ short }) => short === 'h')) {
    command.helpOption('--help');
  }
  if (spec.commands) {
    command.enablePositionalOptions();
    const named = spec.commands.filter((child) => isNamed(child.name));
    for (const child of all || named.length === 0 ? spec.commands : named) {
      // Other commands only need their names, for suggestions.
      command.addCommand(isNamed(child.name) ? buildCommand(child, path, building) : new GoCommand(child, [...path, child.name]));
    }
    if (path.length === 1) {
      command.addOption(new Option('-v, --version'));
      command.on('option:version', () => report(versionCommandOf(spec)));
    }
    if (spec.load === undefined) {
      return command;
    }
  }
  command.argument('[args...]').passThroughOptions(spec.passThrough === true);
  command.allowUnknownOption(spec.refused !== undefined);
  command.action(() => report({ kind: 'run', command: spec, path, args: command.args, flags: collectFlags(command) }));
  return command;
};

interface BoundFlag {
  readonly spec: FlagSpec;
  readonly short: string | undefined;
}

/** A command's own flags, then global ones; on a clash the command's flag wins. */
const flagsOf = (spec: CommandSpec): BoundFlag[] => {
  const own = spec.flags ?? [];
  const names = new Set(own.map((flag) => flag.name));
  const shorts = new Set([...own.map((flag) => flag.short), 'h', 'v']);
  return [
    ...own.map((flag) => ({ spec: flag, short: flag.short })),
    ...globalFlags
      .filter((flag) => !names.has(flag.name))
      .map((flag) => ({ spec: flag, short: flag.short !== undefined && shorts.has(flag.short) ? undefined : flag.short })),
  ];
};

const collectFlags = (command: Command): Flags => {
  const specs = new Map(globalFlags.map((flag) => [flag.name, flag]));
  const values: Record<string, unknown> = {};
  const chain: Command[] = [];
  for (let each: Command | null = command; each; each = each.parent) {
    chain.unshift(each);
  }
  for (const each of chain) {
    if (each instanceof GoCommand) {
      for (const flag of each.spec.flags ?? []) {
        specs.set(flag.name, flag);
      }
    }
    for (const [name, value] of Object.entries(each.opts())) {
      const before = values[name];
      // `build -f` names a Dockerfile where `-f` before it named a Compose file: kinds differ, the command's own wins.
      values[name] = Array.isArray(value) && Array.isArray(before) ? [...before, ...value] : value;
    }
  }
  return new Flags(values, specs);
};

const versionCommandOf = (root: CommandSpec): Parsed => {
  const command = root.commands?.find((candidate) => candidate.name === 'version');
  if (command === undefined) {
    throw new HyprError('HYPR_INTERNAL', 'there is no version command');
  }
  return { kind: 'run', command, path: [root.name, command.name], args: [], flags: new Flags({}, allSpecs(command)) };
};

const allSpecs = (command: CommandSpec): Map<string, FlagSpec> =>
  new Map([...globalFlags, ...(command.flags ?? [])].map((flag) => [flag.name, flag]));

const forEachCommand = (command: Command, visit: (command: Command) => void): void => {
  visit(command);
  for (const child of command.commands) {
    forEachCommand(child, visit);
  }
};

/** commander's "error: unknown option '--foo'\n(Did you mean --bar?)" as an error of ours. */
const usageError = (error: CommanderError): HyprError => {
  const [first = '', ...rest] = error.message.split('\n');
  const guess = /Did you mean (?:one of )?(.*?)\?/.exec(rest.join(' '))?.[1];
  const message = first.replace(/^error: /, '').replace(/ '(-[^']*) <value>'/, " '$1'");
  return new HyprError('HYPR_USAGE', message, { hint: guess ? `did you mean ${guess}?` : 'see: hypr --help' });
};
