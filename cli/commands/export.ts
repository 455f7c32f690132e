import type { Handler } from '../core/command-spec.ts';
import { checkServices, withStack } from '../core/project.ts';
import { servicesOf } from './verbs.ts';
import { refuseTerminal, writeArchive } from './write-archive.ts';

/** `export`: the file system of a running replica as a tar, to a file or standard output. */
export const runExport: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const [service = ''] = args;
  const output = flags.string('output');
  refuseTerminal(context, output);
  return withStack(invocation, async (stack, project) => {
    checkServices([service], project ? { ...project.services, ...project.disabledServices } : await servicesOf(stack));
    await writeArchive(context, stack.copyFrom({ service, index: flags.int('index'), path: '/' }, context.interrupts.signal), output);
    return 0;
  });
};
