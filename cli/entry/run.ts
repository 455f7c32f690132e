import { HyprError, toHyprError } from '../../base/errors.ts';
import { refuseForeignHome } from '../../base/host/home.ts';
import { hyprHome } from '../../base/paths.ts';
import { type Parsed, parseCommandLine } from '../command-tree/program.ts';
import { opensScreen } from '../commands/ui.ts';
import type { CliContext } from '../core/context.ts';
import { checkHostSettings } from '../core/host-settings.ts';
import { foldFor, warn } from '../core/output.ts';
import { exitCodeOf, formatError } from '../core/print-error.ts';
import { hasUnicode, wantsColour } from '../core/style.ts';

/** Carries out one command line and gives its exit code; prints errors itself and never throws. */
export const runCli = async (argv: readonly string[], context: CliContext): Promise<number> => {
  try {
    const parsed = parseCommandLine(argv.length === 0 && (await opensScreen(context)) ? ['ui'] : argv);
    if (parsed.kind === 'print') {
      context.stdout.write(foldFor(context.stdout, parsed.text));
      return 0;
    }
    return await runParsed(parsed, context);
  } catch (error) {
    context.terminal.restore();
    printError(error, argv, context);
    return codeOf(error, argv);
  }
};

/** docker's: what `run` cannot start ends with 125, so that it is told apart from a program that failed; what its client refuses before it asks, with 1. */
const codeOf = (error: unknown, argv: readonly string[]): number => {
  const words = argv.filter((word) => !word.startsWith('-'));
  const code = exitCodeOf(error);
  if (toHyprError(error).reason === 'noTerminal') {
    return code;
  }
  return code === 1 && (words[0] === 'run' || (words[0] === 'container' && words[1] === 'run')) ? 125 : code;
};

const runParsed = async (parsed: Extract<Parsed, { kind: 'run' }>, context: CliContext): Promise<number> => {
  const { command, args, flags } = parsed;
  checkArgs(parsed);
  if (command.refused === undefined) {
    flags.check();
    for (const flag of flags.given()) {
      if (flag.refused) {
        throw new HyprError('HYPR_UNSUPPORTED', `--${flag.name} is not supported: ${flag.refused}`);
      }
      if (flag.ignored) {
        context.stderr.write(`warning: --${flag.name} has no effect: ${flag.ignored}\n`);
      }
    }
    if (flags.bool('dry-run') && !command.dryRun) {
      throw new HyprError('HYPR_UNSUPPORTED', `--dry-run is not supported by ${parsed.path.join(' ')}`, {
        hint: 'up and create can print their plan: hypr up --dry-run',
      });
    }
  }
  if (command.refused === undefined && !WITHOUT_HOST.has(command.name)) {
    for (const warning of checkHostSettings({ platform: process.platform, arch: process.arch, env: context.env })) {
      warn(context.stderr, warning);
    }
    refuseForeignHome(hyprHome(context.env));
  }
  if (command.setsUp && !flags.bool('dry-run')) {
    await (await import('../commands/first-setup.ts')).ensureSetUp(context, flags);
  }
  const handler = await command.load?.();
  if (handler === undefined) {
    throw new HyprError('HYPR_INTERNAL', `${command.name} has no handler`);
  }
  return handler({ context, command, path: parsed.path, args, flags, viaCompose: parsed.path[1] === 'compose' });
};

/** Commands that need nothing of this host; what it lacks is what `doctor` is asked for. */
const WITHOUT_HOST: ReadonlySet<string> = new Set(['config', 'doctor', 'env', 'version']);

const checkArgs = ({ command, path, args }: Extract<Parsed, { kind: 'run' }>): void => {
  const name = path.join(' ');
  const hint = `usage: ${name} ${command.usage}`;
  if (args.length < (command.minArgs ?? 0)) {
    throw new HyprError('HYPR_USAGE', `${name} needs ${command.minArgs === 1 ? 'an argument' : `at least ${command.minArgs} arguments`}`, {
      hint,
    });
  }
  if (args.length > (command.maxArgs ?? Number.POSITIVE_INFINITY)) {
    throw new HyprError('HYPR_USAGE', `${name} does not know what to do with "${args[command.maxArgs ?? 0]}"`, { hint });
  }
};

const printError = (error: unknown, argv: readonly string[], context: CliContext): void => {
  context.stderr.write(
    formatError(withPlace(error, context), {
      color: wantsColour(context.stderr, context.env),
      json: wantsJson(argv, context),
      unicode: hasUnicode(context.env) || context.stderr.isTTY !== true,
      columns: context.stderr.columns ?? 80,
      folds: context.stderr.isTTY === true && context.stderr.columns !== undefined,
      verbose: Boolean(context.env.HYPR_DEBUG),
    }),
  );
};

/** The supervisor knows the model, and not the files that it came from. */
const withPlace = (error: unknown, { placeOf }: CliContext): unknown => {
  const where = error instanceof HyprError && error.where === undefined && error.path !== undefined ? placeOf?.(error.path) : undefined;
  return where === undefined || !(error instanceof HyprError)
    ? error
    : new HyprError(error.code, error.message, { ...error.toJSON(), where, cause: error });
};

// Read from the raw arguments, because the error may be that they could not be parsed.
const wantsJson = (argv: readonly string[], context: CliContext): boolean =>
  argv.includes('--progress=json') ||
  argv.some((arg, index) => arg === '--progress' && argv[index + 1] === 'json') ||
  context.env.COMPOSE_PROGRESS === 'json';
