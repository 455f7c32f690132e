import { createReadStream, createWriteStream } from 'node:fs';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { HyprError } from '../../base/errors.ts';
import { sanitiseName } from '../../base/sanitise.ts';
import { openBuildFolders } from '../../engine/docker/buildkit/build-folders.ts';
import type { Handler } from '../core/command-spec.ts';
import type { CliContext } from '../core/context.ts';
import { createQuietableRenderer } from '../render/create.ts';

/** `hypr load`: from a file, or from standard input through a temporary file. */
export const runLoad: Handler = async ({ context, flags }) => {
  const input = flags.string('input');
  if (input === undefined && context.stdin.isTTY) {
    throw new HyprError('HYPR_USAGE', 'hypr load reads an archive, and standard input is a terminal', { hint: 'hypr load -i FILE' });
  }
  const images = await (await context.engine()).openImages();
  const signal = context.interrupts.signal;
  const renderer = await createQuietableRenderer({ context, flags }, 'load');
  try {
    const load = (path: string): Promise<string[]> => images.load(path, renderer.onProgress, signal);
    const names = input === undefined ? await withTemporary(context, load, 'in') : await load(resolve(context.cwd, input));
    renderer.close();
    context.stdout.write(names.map((name) => `Loaded image: ${sanitiseName(name)}\n`).join(''));
    return 0;
  } finally {
    renderer.close();
  }
};

/** `hypr save`: to a file, or to standard output through a temporary file. */
export const runSave: Handler = async ({ context, args, flags }) => {
  const output = flags.string('output');
  const format = flags.choice('format', ['docker', 'oci']) ?? 'docker';
  if (output === undefined && context.stdout.isTTY) {
    throw new HyprError('HYPR_USAGE', 'hypr save writes an archive, and standard output is a terminal', {
      hint: `hypr save -o FILE ${args.join(' ')}`,
    });
  }
  const images = await (await context.engine()).openImages();
  const save = (path: string): Promise<void> => images.save(args, path, { format }, context.interrupts.signal);
  await (output === undefined ? withTemporary(context, save, 'out') : save(resolve(context.cwd, output)));
  return 0;
};

/** Runs `work` on a private file that was filled from stdin before, or goes to stdout after. */
const withTemporary = async <T>(context: CliContext, work: (path: string) => Promise<T>, direction: 'in' | 'out'): Promise<T> => {
  // In HYPR_HOME, because it may be large; what killed commands left is removed first.
  await using folders = await openBuildFolders();
  const path = join(folders.contexts, 'archive.tar');
  const { signal } = context.interrupts;
  if (direction === 'in') {
    await pipeline(context.stdin, createWriteStream(path, { mode: 0o600 }), { signal });
  }
  const result = await work(path);
  if (direction === 'out') {
    await pipeline(createReadStream(path), context.stdout, { signal, end: false });
  }
  return result;
};
