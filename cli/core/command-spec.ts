import type { CliContext } from './context.ts';
import type { Flags } from './flags.ts';

/** One flag as data: parsing, help and "no meaning here" warnings all come from it. */
export interface FlagSpec {
  readonly name: string;
  readonly short?: string;
  readonly kind: 'bool' | 'string' | 'list' | 'int';
  readonly text: string;
  /** Placeholder of the value in help. */
  readonly value?: string;
  /** Why it does nothing in a machine per service; said once when the flag is used. */
  readonly ignored?: string;
  /** Why it is refused: doing as if it worked would be wrong. */
  readonly refused?: string;
  readonly hidden?: boolean;
}

/** What a handler gets: everything it may touch comes through `context`. */
export interface Invocation {
  readonly context: CliContext;
  readonly command: CommandSpec;
  /** `hypr`, `compose` if it was said, and the names of the command. */
  readonly path: readonly string[];
  readonly args: readonly string[];
  readonly flags: Flags;
  /** Called as `hypr compose …`. */
  readonly viaCompose: boolean;
}

/** Gives the exit code. */
export type Handler = (invocation: Invocation) => Promise<number>;

export interface CommandSpec {
  readonly name: string;
  /** Arguments as docker writes them: `[SERVICE...]`, `SERVICE COMMAND [ARGS...]`. */
  readonly usage: string;
  readonly summary: string;
  readonly examples?: readonly string[];
  readonly flags?: readonly FlagSpec[];
  readonly minArgs?: number;
  readonly maxArgs?: number;
  /** Everything after the first argument belongs to a program in the guest. */
  readonly passThrough?: boolean;
  /** Takes `--dry-run`; others refuse it, because they would really do it. */
  readonly dryRun?: boolean;
  readonly hidden?: boolean;
  /** Why hypr does not have this command of docker compose: it accepts any arguments and says so. */
  readonly refused?: string;
  /** Sub-commands, for `image` and `compose`. */
  readonly commands?: readonly CommandSpec[];
  /** Lazy, so that one command does not load another's code. */
  readonly load?: () => Promise<Handler>;
}

type Extra = Partial<Omit<FlagSpec, 'name' | 'short' | 'kind' | 'text'>>;

const build =
  (kind: FlagSpec['kind']) =>
  (names: string, text: string, extra: Extra = {}): FlagSpec => {
    const parts = names.split(',');
    const name = parts.at(-1) ?? names;
    return { name, ...(parts.length > 1 && parts[0] ? { short: parts[0] } : {}), kind, text, ...extra };
  };

/** `bool('d,detach', 'Run in the background')`: short name first, then the long one. */
export const bool = build('bool');
export const string = build('string');
/** A flag that may be given several times. */
export const list = build('list');
export const int = build('int');
