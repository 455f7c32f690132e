import { messageOf } from '../../base/errors.ts';
import { sanitiseLog } from '../../base/sanitise.ts';
import { DEFAULT_DETACH_KEYS } from '../../engine/docker/machines/detach-keys.ts';
import type { ReplicaStatus } from '../../engine/model/events.ts';
import { EXEC_DEFAULTS } from '../../engine/model/option-defaults.ts';
import type { ExecSession, Stack } from '../../engine/model/types.ts';
import type { CliContext } from '../core/context.ts';
import { shortName } from '../format/logs.ts';
import { carrySession, setRaw, sizeOf } from '../session/session.ts';
import { readPage } from './logs/log-view.ts';
import type { DashboardModel } from './state/model.ts';

const SHELL = ['/bin/sh', '-c', 'if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi'];
/** How many lines of the view are given to the terminal's own scrollback. */
const RAW_LINES = 2000;

/** A shell in a replica, on the whole terminal. Gives what the dashboard says afterwards. */
export const runShell = async (context: CliContext, stack: Stack, replica: ReplicaStatus, signal: AbortSignal): Promise<string> => {
  const { service, number, name } = replica;
  context.stdout.write(`a shell in ${name}; exit comes back\r\n`);
  const size = sizeOf(context);
  const options = { ...EXEC_DEFAULTS, service, index: number, args: SHELL, tty: true, stdin: true, size };
  const code = await whileRaw(context, signal, async () =>
    carry(context, await stack.exec(options, signal), { detachKeys: undefined, signal }),
  );
  return code === 127 ? `${service} has no shell in its image` : `the shell in ${service} ended with ${code}`;
};

/** The program of a replica, on the whole terminal, until Ctrl-P Ctrl-Q. */
export const runAttach = async (context: CliContext, stack: Stack, replica: ReplicaStatus, signal: AbortSignal): Promise<string> => {
  const { service, number, name } = replica;
  await whileRaw(context, signal, async () => {
    const session = await stack.attach({ service, index: number }, signal);
    context.stdout.write(
      `attached to ${name}; Ctrl-P Ctrl-Q comes back${session.stdin ? '' : ' (it takes no input: stdin_open is not set)'}\r\n`,
    );
    const size = session.tty ? sizeOf(context) : undefined;
    if (size !== undefined) {
      session.resize(size);
    }
    return carry(context, session, { detachKeys: DEFAULT_DETACH_KEYS, signal });
  });
  return `detached from ${service}`;
};

/**
 * Raw from the key that asked for it until the dashboard has the keys again. A Ctrl-C that came early would stop the stack, a
 * second Ctrl-D be the end of all input.
 */
const whileRaw = async (context: CliContext, signal: AbortSignal, work: () => Promise<number>): Promise<number> => {
  const end = setRaw(context);
  try {
    return await work();
  } finally {
    end(signal.aborted ? undefined : 'kept');
  }
};

/** Until the program ends, or `signal` aborts: the dashboard is over, and whoever has the terminal then must find it free. */
const carry = async (
  context: CliContext,
  session: ExecSession,
  { detachKeys, signal }: { readonly detachKeys: string | undefined; readonly signal: AbortSignal },
): Promise<number> => {
  const close = (): void => session.close();
  signal.addEventListener('abort', close, { once: true });
  try {
    signal.throwIfAborted();
    // Raw also where the program has no terminal: the keys that come back have to be seen.
    return await carrySession(session, { tty: true, isRaw: true, stdin: true, detachKeys, closeInput: false }, context);
  } finally {
    signal.removeEventListener('abort', close);
    session.close();
  }
};

/**
 * The last lines of the view on the normal screen, where the terminal scrolls, selects and searches them itself. Resolves with Enter,
 * with Ctrl-C, or when `signal` aborts.
 */
export const showRaw = async (context: CliContext, model: DashboardModel, signal: AbortSignal): Promise<void> => {
  const names = model.view.replicas?.size !== 1;
  const lines = readPage(model.logs, model.view, RAW_LINES)
    .filter(({ kind }) => kind !== 'mark' && kind !== 'gap')
    .map(({ line, replica }) => `${names ? `${shortName(replica, model.stack)} | ` : ''}${sanitiseLog(line)}`);
  context.stdout.write(`${lines.join('\n')}\n-- Enter comes back --`);
  await keyOrEnd(context, signal);
};

const keyOrEnd = async ({ stdin, interrupts }: CliContext, signal: AbortSignal): Promise<void> => {
  const over = new AbortController();
  const end = (): void => over.abort();
  // The terminal is not raw here: Ctrl-C is a signal, and means these lines, not the stack.
  const release = interrupts.take(end);
  stdin.on('data', end).on('end', end);
  signal.addEventListener('abort', end, { once: true });
  try {
    stdin.resume();
    await new Promise<void>((resolve) => {
      over.signal.addEventListener('abort', () => resolve(), { once: true });
      if (signal.aborted) {
        end();
      }
    });
  } finally {
    release();
    stdin.removeListener('data', end).removeListener('end', end);
    signal.removeEventListener('abort', end);
    stdin.pause();
  }
};

/** Runs `work` while the screen is away; gives what to say of it. */
export const borrowTerminal = async (
  screen: { leave(): void; enter(): void } | undefined,
  work: () => Promise<string | undefined>,
): Promise<string> => {
  screen?.leave();
  // Ink sets the terminal back in a turn of its own.
  await new Promise((resolve) => setImmediate(resolve));
  try {
    return (await work()) ?? '';
  } catch (error) {
    return messageOf(error);
  } finally {
    // Node stops reading the terminal in a turn of its own: whoever begins to read in the same turn is left without input.
    await new Promise((resolve) => setImmediate(resolve));
    screen?.enter();
  }
};
