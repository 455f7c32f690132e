import type { CliContext, OutputStream } from '../core/context.ts';
import type { Flags } from '../core/flags.ts';
import { hasUnicode, paintFor } from '../core/style.ts';
import { createPlainBuild } from './build-plain.ts';
import { progressMode } from './create.ts';
import type { BuildRenderer } from './types.ts';

export interface BuildOutput {
  /** Show nothing. */
  readonly quiet: boolean;
  /** Where lines of text go; a picture is on stderr. Default: stderr. */
  readonly lines?: OutputStream;
}

/** The renderer of builds that fits the flags and the terminal. */
export const createBuildRenderer = async (context: CliContext, flags: Flags, { quiet, lines }: BuildOutput): Promise<BuildRenderer> => {
  const mode = quiet ? 'quiet' : progressMode(context, flags);
  const stream = context.stderr;
  switch (mode) {
    case 'quiet':
      return { onEvent: () => {}, close: () => {} };
    case 'json':
      return createJsonBuild(stream);
    case 'rawjson': {
      const { createRawJsonBuild } = await import('./build-rawjson.ts');
      return createRawJsonBuild(stream);
    }
    case 'plain':
      return createPlainBuild(lines ?? stream);
    case 'tty': {
      const { createTtyBuild } = await import('./build-tty.ts');
      return createTtyBuild({
        stream,
        terminal: context.terminal,
        paint: paintFor(context, stream, flags),
        unicode: hasUnicode(context.env),
        now: context.now,
        title: 'Building',
      });
    }
  }
};

/** One object per event, as it came. */
const createJsonBuild = (stream: OutputStream): BuildRenderer => ({
  onEvent: (service, event) => {
    stream.write(`${JSON.stringify(service === '' ? event : { service, ...event })}\n`);
  },
  close: () => {},
});
