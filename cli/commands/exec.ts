import type { ExecOptions, ExecSession } from '../../engine/types.ts';
import type { CliContext } from '../context.ts';
import { writeOut } from '../output.ts';
import { checkServices, withStack } from '../project.ts';
import type { Handler, Invocation } from '../spec/types.ts';
import { servicesOf } from './verbs.ts';

const SIGINT = 2;
const SIGKILL = 9;

/** `exec`: bytes in and out as they are, a raw terminal when there is one, the command's exit code. */
export const runExec: Handler = async (invocation) => {
  const { context } = invocation;
  const options = execOptions(invocation);
  return withStack(invocation, async (stack, project) => {
    checkServices([options.service], project ? { ...project.services, ...project.disabledServices } : await servicesOf(stack));
    const session = await stack.exec(options, context.interrupts.signal);
    try {
      return options.detach ? 0 : await attach(session, options, context);
    } finally {
      session.close();
    }
  });
};

const execOptions = ({ context, args, flags }: Invocation): ExecOptions => {
  const [service = '', ...command] = args;
  const detach = flags.bool('detach');
  const tty = !detach && !flags.bool('no-tty') && context.stdin.isTTY === true && context.stdout.isTTY === true;
  return {
    service,
    index: flags.int('index'),
    args: command,
    env: flags.list('env').map((pair) => (pair.includes('=') ? pair : `${pair}=${context.env[pair] ?? ''}`)),
    user: flags.string('user'),
    workdir: flags.string('workdir'),
    tty,
    stdin: !detach && flags.tristate('interactive') !== false,
    detach,
    privileged: flags.bool('privileged'),
    size: tty ? sizeOf(context) : undefined,
  };
};

const attach = async (session: ExecSession, options: ExecOptions, context: CliContext): Promise<number> => {
  const undo = [options.tty ? enterRawMode(context, session) : takeInterrupts(context, session)];
  if (options.stdin) {
    undo.push(forwardInput(context, session));
  } else {
    session.closeStdin();
  }
  try {
    for await (const chunk of session.output) {
      await writeOut(chunk.stream === 'stderr' ? context.stderr : context.stdout, chunk.data);
    }
    return await session.exitCode;
  } finally {
    for (const step of undo) {
      step();
    }
  }
};

/** Keys go to the guest byte by byte, Ctrl-C included; the size follows the window. */
const enterRawMode = (context: CliContext, session: ExecSession): (() => void) => {
  const { stdin, stdout } = context;
  const leave = context.terminal.enter({ enter: () => stdin.setRawMode?.(true), leave: () => stdin.setRawMode?.(false) });
  const onResize = (): void => {
    const size = sizeOf(context);
    if (size) {
      session.resize(size);
    }
  };
  stdout.on('resize', onResize);
  return () => {
    stdout.removeListener('resize', onResize);
    leave();
  };
};

/** Without a terminal in the guest a Ctrl-C is a signal to the command; the second one ends it for sure. */
const takeInterrupts = (context: CliContext, session: ExecSession): (() => void) =>
  context.interrupts.take((count) => session.signal(count === 1 ? SIGINT : SIGKILL));

const forwardInput = ({ stdin }: CliContext, session: ExecSession): (() => void) => {
  const onData = (data: Uint8Array | string): void => session.write(typeof data === 'string' ? Buffer.from(data) : data);
  const onEnd = (): void => session.closeStdin();
  stdin.on('data', onData).on('end', onEnd).on('error', onEnd);
  stdin.resume();
  return () => {
    stdin.removeListener('data', onData).removeListener('end', onEnd).removeListener('error', onEnd);
    stdin.pause();
  };
};

const sizeOf = ({ stdout }: CliContext): { columns: number; rows: number } | undefined =>
  stdout.columns && stdout.rows ? { columns: stdout.columns, rows: stdout.rows } : undefined;
