import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { HyprError } from '../../base/errors.ts';
import type { CliContext } from '../core/context.ts';
import { writeOut } from '../core/output.ts';

/** Before an archive is asked for: it is for a file or a program. */
export const refuseTerminal = (context: CliContext, output: string | undefined): void => {
  if (output === undefined && context.stdout.isTTY) {
    throw new HyprError('HYPR_USAGE', 'an archive is not written to a terminal', { hint: 'use -o FILE, or redirect the output' });
  }
};

/** Writes an archive to a file, of which nothing is left after a failure, or to standard output. */
export const writeArchive = async (context: CliContext, tar: AsyncIterable<Uint8Array>, output: string | undefined): Promise<void> => {
  if (output === undefined) {
    for await (const chunk of tar) {
      await writeOut(context.stdout, chunk);
    }
    return;
  }
  const path = resolve(context.cwd, output);
  try {
    await pipeline(Readable.from(tar), createWriteStream(path, { flush: true }));
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
};
