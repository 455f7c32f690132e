import type { CliContext } from './context.ts';
import type { FlagSpec } from './flag-spec.ts';
import type { Flags } from './flags.ts';

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
  /** Starts machines or makes disks: where nothing is set up yet, `hypr setup` is done first. */
  readonly setsUp?: boolean;
  /** Why hypr does not have this command of docker compose: it accepts any arguments and says so. */
  readonly refused?: string;
  /** Sub-commands, for `image` and `compose`. */
  readonly commands?: readonly CommandSpec[];
  /** Lazy, so that one command does not load another's code. Beside `commands`, what the name alone does. */
  readonly load?: () => Promise<Handler>;
}
