import { exportNames } from '../../base/tar/rename.ts';
import type { Handler } from '../core/command-spec.ts';
import { onMachine } from '../core/machines.ts';
import { checkServices, withStack } from '../core/project.ts';
import { servicesOf } from './verbs.ts';
import { refuseTerminal, writeArchive } from './write-archive.ts';

/** `export`: the file system of a running replica as a tar, to a file or standard output. */
export const runExport: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const [service = ''] = args;
  const output = flags.string('output');
  refuseTerminal(context, output);
  const { signal } = context.interrupts;
  const done = await onMachine(invocation, service, async (stack, { status }) => {
    await writeArchive(context, exportNames(stack.copyFrom({ service: status.service, index: status.number, path: '/' }, signal)), output);
    return 0;
  });
  if (done !== undefined) {
    return done;
  }
  return withStack(invocation, async (stack, project) => {
    checkServices([service], project ? { ...project.services, ...project.disabledServices } : await servicesOf(stack));
    await writeArchive(context, exportNames(stack.copyFrom({ service, index: flags.int('index'), path: '/' }, signal)), output);
    return 0;
  });
};
