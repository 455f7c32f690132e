import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { HyprError } from '../../base/errors.ts';
import type { Handler } from '../core/command-spec.ts';
import { writeOut } from '../core/output.ts';
import { checkServices, withStack } from '../core/project.ts';
import { servicesOf } from './verbs.ts';

/** `export`: the file system of a running replica as a tar, to a file or standard output. */
export const runExport: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const [service = ''] = args;
  const output = flags.string('output');
  if (output === undefined && context.stdout.isTTY) {
    throw new HyprError('HYPR_USAGE', 'an archive is not written to a terminal', { hint: 'use -o FILE, or redirect the output' });
  }
  return withStack(invocation, async (stack, project) => {
    checkServices([service], project ? { ...project.services, ...project.disabledServices } : await servicesOf(stack));
    const tar = stack.copyFrom({ service, index: flags.int('index'), path: '/' }, context.interrupts.signal);
    if (output === undefined) {
      for await (const chunk of tar) {
        await writeOut(context.stdout, chunk);
      }
      return 0;
    }
    const path = resolve(context.cwd, output);
    try {
      await pipeline(Readable.from(tar), createWriteStream(path));
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
    return 0;
  });
};
