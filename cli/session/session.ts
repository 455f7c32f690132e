import { constants } from 'node:os';
import { DEFAULT_DETACH_KEYS, DetachKeys } from '../../engine/docker/machines/detach-keys.ts';
import type { ExecSession } from '../../engine/model/types.ts';
import type { CliContext } from '../core/context.ts';
import type { Flags } from '../core/flags.ts';
import { writeOut } from '../core/output.ts';

export interface SessionOptions {
  readonly tty: boolean;
  readonly stdin: boolean;
  /** Close the program's stdin at the end of ours; otherwise it stays open for the next client. */
  readonly closeInput: boolean;
  /** Keys that detach without ending anything, on a terminal; undefined: none. */
  readonly detachKeys: string | undefined;
  /** The terminal is raw already, and stays so after the end. */
  readonly isRaw?: boolean;
  /** Without a terminal a Ctrl-C is a signal to the program, not an interrupt of the command. */
  readonly signals?: boolean;
}

/** `--detach-keys`, looked at before anything is attached to or started. Throws HYPR_USAGE for what is no sequence of keys. */
export const detachKeysOf = (flags: Flags): string => {
  const text = flags.string('detach-keys') ?? DEFAULT_DETACH_KEYS;
  new DetachKeys(text);
  return text;
};

/** Forwards input, output, signals and window size of a program until it ends; returns its exit code, or 0 when detached. */
export const carrySession = async (session: ExecSession, options: SessionOptions, context: CliContext): Promise<number> => {
  const keys = options.tty && options.detachKeys !== undefined ? new DetachKeys(options.detachKeys) : undefined;
  const left = { detached: false };
  const undo = [options.tty ? followSize(context, session) : () => {}];
  // Raw without anybody who reads, Ctrl-C would be nobody's.
  undo.push(options.tty && options.stdin ? enterRawMode(context, options) : takeInterrupts(context, session, options));
  if (options.stdin) {
    const detach = (): void => {
      left.detached = true;
      session.close();
    };
    undo.push(forwardInput({ context, session, options, keys, detach }));
  } else if (options.closeInput) {
    session.closeStdin();
  }
  try {
    for await (const chunk of session.output) {
      await writeOut(chunk.stream === 'stderr' ? context.stderr : context.stdout, chunk.data);
    }
    return await session.exitCode;
  } catch (error) {
    if (left.detached) {
      return 0;
    }
    throw error;
  } finally {
    for (const step of undo) {
      step();
    }
  }
};

/** Size of the window, when it has one. */
export const sizeOf = ({ stdout }: CliContext): { columns: number; rows: number } | undefined =>
  stdout.columns && stdout.rows ? { columns: stdout.columns, rows: stdout.rows } : undefined;

/** Sets the terminal raw; the returned function ends that, or leaves it to whoever goes on. */
export const setRaw = ({ stdin, terminal }: Pick<CliContext, 'stdin' | 'terminal'>): ((kept?: 'kept') => void) =>
  terminal.enter({ enter: () => stdin.setRawMode?.(true), leave: () => stdin.setRawMode?.(false) });

/** Raw mode: all keys go to the guest, also Ctrl-C. */
const enterRawMode = (context: CliContext, { isRaw = false }: SessionOptions): (() => void) => (isRaw ? () => {} : setRaw(context));

/** The guest's terminal has the size of the window. */
const followSize = (context: CliContext, session: ExecSession): (() => void) => {
  const { stdout } = context;
  const onResize = (): void => {
    const size = sizeOf(context);
    if (size) {
      session.resize(size);
    }
  };
  stdout.on('resize', onResize);
  return () => void stdout.removeListener('resize', onResize);
};

/** Where keys are not the guest's, Ctrl-C and a TERM to this command are sent to the program as what they are; the second one kills it. */
const takeInterrupts = (context: CliContext, session: ExecSession, { signals }: SessionOptions): (() => void) =>
  signals === false
    ? context.interrupts.take(() => session.close())
    : context.interrupts.take(
        (name) => session.signal(constants.signals[name]),
        () => session.signal(constants.signals.SIGKILL),
      );

/** When input arrives faster than it can be sent, reading from its source is paused. */
const forwardInput = (input: {
  context: CliContext;
  session: ExecSession;
  options: SessionOptions;
  keys: DetachKeys | undefined;
  detach: () => void;
}): (() => void) => {
  const { session, options, keys, detach } = input;
  const { stdin } = input.context;
  let isOver = false;
  const onData = (chunk: Uint8Array | string): void => {
    const data = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    const seen = keys?.read(data) ?? { data, detach: false };
    if (seen.data.length > 0) {
      stdin.pause();
      void session.write(seen.data).then(() => {
        // Who has the terminal by now reads it himself; what Node would read here, nobody got.
        if (!isOver) {
          stdin.resume();
        }
      });
    }
    if (seen.detach) {
      detach();
    }
  };
  const onEnd = (): void => {
    if (options.closeInput) {
      session.closeStdin();
    }
  };
  stdin.on('data', onData).on('end', onEnd).on('error', onEnd);
  stdin.resume();
  return () => {
    isOver = true;
    stdin.removeListener('data', onData).removeListener('end', onEnd).removeListener('error', onEnd);
    stdin.pause();
  };
};
