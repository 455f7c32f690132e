import { DEFAULT_DETACH_KEYS } from '../../engine/docker/machines/detach-keys.ts';
import type { Handler } from '../core/command-spec.ts';
import { findStackName, openStack } from '../core/project.ts';
import { carrySession, sizeOf } from '../session/session.ts';

/** `attach`: streams new output, and input if the service has an open stdin; exits with the program's exit code. */
export const runAttach: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const [service = ''] = args;
  return openStack(invocation, await findStackName(invocation), async (stack) => {
    const session = await stack.attach({ service, index: flags.int('index') }, context.interrupts.signal);
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
          detachKeys: flags.string('detach-keys') ?? DEFAULT_DETACH_KEYS,
          signals: flags.tristate('sig-proxy') !== false,
        },
        context,
      );
    } finally {
      session.close();
    }
  });
};
