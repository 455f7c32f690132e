import { describe, expect, it } from 'vitest';
import { Query } from '../../../engine/docker/http/query.ts';
import type { Call } from '../../../engine/docker/http/router.ts';
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
