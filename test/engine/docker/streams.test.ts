import { describe, expect, it } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { Query } from '../../../engine/docker/http/query.ts';
import type { Call } from '../../../engine/docker/http/router.ts';
import { type ExecRecord, Execs } from '../../../engine/docker/machines/execs.ts';
import type { Host } from '../../../engine/docker/machines/host.ts';
import { streamRoutes } from '../../../engine/docker/routes/streams.ts';

/** Attaches to a machine with `docker run -i`'s settings, sends what a client sends before it leaves; gives what came of its input. */
const attachAndLeave = async (tty: boolean): Promise<string[]> => {
  const seen: string[] = [];
  let leave = () => {};
  const left = new Promise<void>((resolve) => {
    leave = resolve;
  });
  const session = {
    // The program goes on until its input ends.
    output: (async function* () {
      await left;
      yield { stream: 'stdout', data: Buffer.from('end') };
    })(),
    write: async (data: Uint8Array) => void seen.push(Buffer.from(data).toString()),
    closeStdin: () => void seen.push('EOF'),
    close: () => {},
  };
  const detail = { stack: 's', status: { service: 'web', number: 1 }, spec: { stdinOnce: true, process: { tty, stdin: true } } };
  const host = {
    find: () => detail,
    withStack: async (_: string, use: (stack: object) => unknown) => use({ attach: async () => session }),
  };
  const client = {
    input: (async function* () {
      yield Buffer.from('typed');
      setImmediate(leave);
    })(),
    write: async () => {},
    end: () => {},
  };
  await streamRoutes(host as unknown as Host)['POST /containers/{id}/attach']?.({
    params: { id: 'web' },
    query: new Query(new URLSearchParams('stream=1&stdin=1&stdout=1')),
    reply: { hijack: () => client },
    signal: new AbortController().signal,
    version: 47,
  } as unknown as Call);
  return seen;
};

describe('attach', () => {
  it('leaves the input of a terminal open when its client leaves, so that detaching ends nothing', async () => {
    expect(await attachAndLeave(true)).toEqual(['typed']);
  });

  it('ends the input of a program without a terminal with that of its one client', async () => {
    expect(await attachAndLeave(false)).toEqual(['typed', 'EOF']);
  });
});

/** Starts a program by `POST /exec/{id}/start`, whose output is there at once or that does not start; gives what happened, in order. */
const startExec = async (start: 'runs' | HyprError, request: object = {}): Promise<{ happened: string[]; record: ExecRecord }> => {
  const happened: string[] = [];
  const detail = { stack: 's', status: { id: 'm', state: 'running', labels: {}, image: 'busybox', name: 'web' }, spec: {} };
  const execs = new Execs();
  const options = { service: 'web', index: 1, args: ['echo', 'first'], env: [], tty: false, stdin: false, privileged: false };
  const record = execs.add({ machine: 'm', stack: 's', detachKeys: '', options } as unknown as Parameters<Execs['add']>[0]);
  const session = {
    output: (async function* () {
      yield { stream: 'stdout', data: Buffer.from('first') };
      yield { stream: 'stderr', data: Buffer.from('last') };
    })(),
    exitCode: Promise.resolve(3),
    closeStdin: () => {},
    close: () => {},
    resize: () => {},
  };
  const exec = async () => {
    happened.push('started');
    if (start !== 'runs') {
      throw start;
    }
    return session;
  };
  const host = {
    execs,
    find: () => detail,
    events: { tell: ({ action }: { action: string }) => happened.push(action) },
    withStack: async (_: string, use: (stack: object) => unknown) => use({ exec }),
  };
  const client = {
    input: (async function* () {})(),
    write: async (data: Uint8Array | string) => void happened.push(`wrote ${Buffer.from(data).subarray(8).toString()}`),
    end: () => happened.push('ended'),
  };
  const reply = {
    hijack: () => {
      happened.push('head');
      return client;
    },
    empty: (status: number) => happened.push(`${status}`),
  };
  await streamRoutes(host as unknown as Host)['POST /exec/{id}/start']?.({
    params: { id: record.id },
    query: new Query(new URLSearchParams()),
    body: { json: async () => request },
    reply,
    signal: new AbortController().signal,
    version: 47,
  } as unknown as Call);
  return { happened, record };
};

describe('exec', () => {
  it('answers before the program starts, and its client has all that it says, from the first byte on', async () => {
    const { happened, record } = await startExec('runs');
    expect(happened).toEqual(['head', 'started', 'exec_start', 'wrote first', 'wrote last', 'exec_die', 'ended']);
    expect(record).toMatchObject({ state: 'ended', exitCode: 3 });
  });

  it('says why a program does not start as its output, with the exit code of a shell', async () => {
    const missing = new HyprError('GUEST_EXEC', 'no such program', { reason: 'programNotFound' });
    const { happened, record } = await startExec(missing);
    expect(happened).toEqual(['head', 'started', expect.stringMatching(/^wrote exec failed: no such program/), 'ended']);
    expect(record).toMatchObject({ state: 'ended', exitCode: 127 });
    expect((await startExec(new HyprError('GUEST_EXEC', 'no right'))).record.exitCode).toBe(126);
  });

  it('answers one that is detached once it runs', async () => {
    expect((await startExec('runs', { Detach: true })).happened).toEqual(['started', 'exec_start', '200', 'exec_die']);
  });
});
