import type { CliContext } from '../../core/context.ts';
import type { Flags } from '../../core/flags.ts';
import { createPaint, hasUnicode, type Paint, wantsColour } from '../../core/style.ts';

/** What the terminal can show. */
export interface Look {
  readonly paint: Paint;
  /** Keep the colours of log lines. */
  readonly color: boolean;
  readonly unicode: boolean;
  readonly columns: number;
  readonly rows: number;
}

/** Of the terminal as it is now: a window may have another size later. */
export const lookOf = ({ stdout, env }: Pick<CliContext, 'stdout' | 'env'>, flags: Flags): Look => {
  const color = wantsColour(stdout, env, flags);
  return { paint: createPaint(color), color, unicode: hasUnicode(env), columns: stdout.columns || 80, rows: stdout.rows || 24 };
};
