import { HyprError } from '../../base/errors.ts';
import type { Invocation } from '../core/command-spec.ts';
import type { CliContext, OutputStream } from '../core/context.ts';
import type { Flags } from '../core/flags.ts';
import { PROGRESS_MODES } from '../core/modes.ts';
import { isSet } from '../core/project.ts';
import { ansiMode, canAnimate, hasUnicode, isSpoken, paintFor } from '../core/style.ts';
import { createJsonRenderer } from './json.ts';
import { createPlainRenderer } from './plain.ts';
import { createQuietRenderer } from './quiet.ts';
import type { ProgressRenderer } from './types.ts';

export type ProgressMode = Exclude<(typeof PROGRESS_MODES)[number], 'auto' | 'none'>;

/** The mode of `--progress` or COMPOSE_PROGRESS, or the best one for stderr. Throws HYPR_USAGE for an unknown one. */
export const progressMode = (context: CliContext, flags: Flags): ProgressMode => {
  const asked = flags.choice('progress', PROGRESS_MODES) ?? envMode(context.env);
  if (asked === 'none') {
    return 'quiet';
  }
  if (asked !== 'auto') {
    return asked;
  }
  const canDraw = ansiMode(context.env, flags) !== 'never' && canAnimate(progressStream(context), context.env) && !context.env.CI;
  return canDraw && !isSpoken(context) ? 'tty' : 'plain';
};

const envMode = (env: NodeJS.ProcessEnv): (typeof PROGRESS_MODES)[number] => {
  const word = env.COMPOSE_PROGRESS || 'auto';
  const mode = PROGRESS_MODES.find((candidate) => candidate === word);
  if (mode === undefined) {
    throw new HyprError('HYPR_USAGE', `COMPOSE_PROGRESS does not know "${word}"`, { hint: `use one of: ${PROGRESS_MODES.join(', ')}` });
  }
  return mode;
};

/** COMPOSE_STATUS_STDOUT moves progress to stdout. */
export const progressStream = (context: CliContext): OutputStream =>
  isSet(context.env, 'COMPOSE_STATUS_STDOUT') ? context.stdout : context.stderr;

/** That of a command with `-q`, which keeps to itself all but warnings and errors. */
export const createQuietableRenderer = async (
  { context, flags }: Pick<Invocation, 'context' | 'flags'>,
  title: string,
): Promise<ProgressRenderer> => (flags.bool('quiet') ? createQuietRenderer(context.stderr) : createRenderer(context, flags, title));

/** The renderer that fits the flags and the terminal. `title` is the verb: `up`, `down`, `pull`. */
export const createRenderer = async (context: CliContext, flags: Flags, title: string): Promise<ProgressRenderer> => {
  const stream = progressStream(context);
  switch (progressMode(context, flags)) {
    case 'json':
    case 'rawjson':
      return createJsonRenderer(stream);
    case 'quiet':
      return createQuietRenderer(stream);
    case 'plain':
      return createPlainRenderer(stream);
    case 'tty': {
      const { createTtyRenderer } = await import('./tty.ts');
      return createTtyRenderer({
        stream,
        terminal: context.terminal,
        paint: paintFor(context, stream, flags),
        unicode: hasUnicode(context.env),
        now: context.now,
        title,
      });
    }
  }
};
