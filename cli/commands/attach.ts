import type { AttachOptions, Stack } from '../../engine/model/types.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import { onMachine } from '../core/machines.ts';
import { findStackName, openStack } from '../core/project.ts';
import { carrySession, detachKeysOf, sizeOf } from '../session/session.ts';

/** `attach`: streams new output, and input if the service has an open stdin; exits with the program's exit code. */
export const runAttach: Handler = async (invocation) => {
  const { args, flags } = invocation;
  const [service = ''] = args;
  const code = await onMachine(invocation, service, (stack, { status }) =>
    carryAttached(invocation, stack, { service: status.service, index: status.number }),
  );
  if (code !== undefined) {
    return code;
  }
  const index = flags.int('index');
  return openStack(invocation, await findStackName(invocation), (stack) => carryAttached(invocation, stack, { service, index }));
};

const carryAttached = async ({ context, flags }: Invocation, stack: Stack, place: AttachOptions): Promise<number> => {
  const detachKeys = detachKeysOf(flags);
  const session = await stack.attach(place, context.interrupts.signal);
  try {
    const stdin = session.stdin && !flags.bool('no-stdin');
    const tty = session.tty && stdin && context.stdin.isTTY === true && context.stdout.isTTY === true;
    const size = tty ? sizeOf(context) : undefined;
    if (size !== undefined) {
      session.resize(size);
    }
    return await carrySession(
      session,
      {
        tty,
        stdin,
        closeInput: false,
        detachKeys,
        signals: flags.tristate('sig-proxy') !== false,
      },
      context,
    );
  } finally {
    session.close();
  }
};
