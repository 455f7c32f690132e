import type { CliContext, OutputStream } from './context.ts';
import type { Flags } from './flags.ts';
import { ANSI_MODES } from './modes.ts';
import { settingOf } from './settings.ts';

export type Colour = 'red' | 'green' | 'yellow' | 'blue' | 'cyan' | 'dim' | 'bold';
export type Paint = (colour: Colour, text: string) => string;

const CODES: Readonly<Record<Colour, readonly [number, number]>> = {
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  cyan: [36, 39],
  dim: [2, 22],
  bold: [1, 22],
};

/** Colours text, or leaves it alone. */
export const createPaint =
  (enabled: boolean): Paint =>
  (colour, text) =>
    enabled ? `\u001b[${CODES[colour][0]}m${text}\u001b[${CODES[colour][1]}m` : text;

export type AnsiMode = (typeof ANSI_MODES)[number];

/** `--ansi`, `--no-ansi`, COMPOSE_ANSI. */
export const ansiMode = (env: NodeJS.ProcessEnv, flags?: Flags): AnsiMode => {
  if (flags?.bool('no-ansi')) {
    return 'never';
  }
  const word = flags?.choice('ansi', ANSI_MODES) ?? env.COMPOSE_ANSI;
  return word === 'never' || word === 'always' ? word : 'auto';
};

/** Whether a stream gets colours: a terminal that can, and nobody said no (no-color.org). */
export const wantsColour = (stream: OutputStream, env: NodeJS.ProcessEnv, flags?: Flags): boolean => {
  const mode = ansiMode(env, flags);
  return mode === 'always' || (mode === 'auto' && canAnimate(stream, env) && !env.NO_COLOR);
};

/** Whether the cursor may be moved on a stream. */
export const canAnimate = (stream: OutputStream, env: NodeJS.ProcessEnv): boolean => stream.isTTY === true && env.TERM !== 'dumb';

/** Whether everything is to be read out: then nothing is drawn twice. The variable is that of Ink and of the programs that use it. */
export const isSpoken = ({ env, settings }: Pick<CliContext, 'env' | 'settings'>): boolean =>
  env.INK_SCREEN_READER ? env.INK_SCREEN_READER === 'true' : settingOf(settings, 'screen_reader') === 'on';

/** Whether symbols beyond ASCII come out right, by the locale's character set. */
export const hasUnicode = (env: NodeJS.ProcessEnv): boolean =>
  env.TERM !== 'dumb' && env.TERM !== 'linux' && /utf-?8/i.test(env.LC_ALL || env.LC_CTYPE || env.LANG || '');

export const paintFor = (context: Pick<CliContext, 'env'>, stream: OutputStream, flags?: Flags): Paint =>
  createPaint(wantsColour(stream, context.env, flags));
