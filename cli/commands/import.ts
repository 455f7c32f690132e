import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';
import { HyprError, isErrno } from '../../base/errors.ts';
import type { Handler } from '../core/command-spec.ts';

/** `import FILE|- [IMAGE]`: an image of one layer, from an archive of files. */
export const runImport: Handler = async ({ context, args, flags }) => {
  const [file = '', reference] = args;
  if (/^https?:\/\//.test(file)) {
    throw new HyprError('HYPR_UNSUPPORTED', 'import reads files and standard input, and no URLs', {
      hint: `curl -L ${file} | hypr import -`,
    });
  }
  if (file === '-' && context.stdin.isTTY) {
    throw new HyprError('HYPR_USAGE', 'hypr import - reads an archive, and standard input is a terminal');
  }
  const images = await (await context.engine()).openImages();
  const tar = (file === '-' ? context.stdin : createReadStream(resolve(context.cwd, file))) as AsyncIterable<Buffer>;
  try {
    const image = await images.import(
      {
        tar,
        reference,
        message: flags.string('message') ?? `Imported from ${file}`,
        changes: flags.list('change'),
        platform: flags.string('platform'),
        now: context.now(),
      },
      context.interrupts.signal,
    );
    context.stdout.write(`${image.id}\n`);
    return 0;
  } catch (error) {
    throw isErrno(error, 'ENOENT') ? new HyprError('HYPR_USAGE', `there is no archive ${file}`, { cause: error }) : error;
  }
};
