import { listMachineChanges } from '../../engine/docker/machines/disk.ts';
import type { Handler } from '../core/command-spec.ts';
import { noSuchMachine, onMachine } from '../core/machines.ts';

const LETTERS = { added: 'A', changed: 'C', deleted: 'D' } as const;

/** `diff NAME`: what a machine changed on its disk. */
export const runDiff: Handler = async (invocation) => {
  const { context, args } = invocation;
  const [name = ''] = args;
  const done = await onMachine(invocation, name, async (stack, detail) => {
    const images = await (await context.engine()).openImages();
    const changes = await listMachineChanges({ stack, detail, images }, context.interrupts.signal);
    context.stdout.write(changes.map(({ path, kind }) => `${LETTERS[kind]} ${path}\n`).join(''));
    return 0;
  });
  if (done === undefined) {
    throw noSuchMachine(name);
  }
  return done;
};
