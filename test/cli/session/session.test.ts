import { constants } from 'node:os';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { CliContext } from '../../../cli/core/context.ts';
import { Interrupts } from '../../../cli/core/interrupts.ts';
import { Terminal } from '../../../cli/core/terminal.ts';
import { carrySession, type SessionOptions } from '../../../cli/session/session.ts';
import type { ExecSession } from '../../../engine/model/types.ts';

/** A program that ends at its second signal, run from a terminal. */
const start = (options: Pick<SessionOptions, 'tty' | 'stdin'>) => {
  const seen: unknown[] = [];
  const interrupts = new Interrupts();
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const session = {
    output: (async function* () {
      await ended;
      yield { stream: 'stdout', data: Buffer.from('end') };
    })(),
    exitCode: ended.then(() => 143),
    signal: (number: number) => {
      seen.push(number);
      if (seen.includes(constants.signals.SIGKILL)) {
        end();
      }
    },
    closeStdin: () => {},
    close: end,
  };
  const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (mode: boolean) => seen.push(mode ? 'raw' : 'cooked') });
  const context = { ...{ stdin, stdout: new PassThrough(), stderr: new PassThrough() }, interrupts, terminal: new Terminal() };
  const code = carrySession(
    session as unknown as ExecSession,
    { ...options, closeInput: true, detachKeys: undefined },
    context as unknown as CliContext,
  );
  return { seen, interrupts, code, end };
};

describe('session of a program', () => {
  it('hands on a TERM as a TERM, and kills at the next signal', async () => {
    const { seen, interrupts, code } = start({ tty: false, stdin: true });
    interrupts.fire('SIGTERM');
    interrupts.fire('SIGINT');
    expect(await code).toBe(143);
    expect(seen).toEqual([constants.signals.SIGTERM, constants.signals.SIGKILL]);
  });

  it('leaves Ctrl-C to the terminal where the program has one but nobody reads the keys', async () => {
    const { seen, interrupts, code } = start({ tty: true, stdin: false });
    interrupts.fire('SIGINT');
    interrupts.fire('SIGINT');
    await code;
    expect(seen).toEqual([constants.signals.SIGINT, constants.signals.SIGKILL]);
  });

  it('is raw while it reads the keys, and not after it', async () => {
    const { seen, code, end } = start({ tty: true, stdin: true });
    end();
    await code;
    expect(seen).toEqual(['raw', 'cooked']);
  });
});
