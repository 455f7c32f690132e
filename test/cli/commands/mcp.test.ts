import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { type Ran, serveMcp } from '../../../cli/commands/mcp.ts';
import { hyprBin } from '../../support/cli.ts';

interface Answer {
  readonly id: number;
  readonly result?: {
    readonly content?: ReadonlyArray<{ readonly text: string }>;
    readonly isError?: boolean;
    readonly tools?: Array<{ name: string }>;
  };
  readonly error?: { readonly code: number };
}

/** A client of a server whose commands are answered by `run`. */
const open = (run: (args: readonly string[], directory: string | undefined, signal: AbortSignal) => Promise<Ran>) => {
  const input = new PassThrough();
  const answers: Answer[] = [];
  const over = serveMcp({ input, write: (line) => answers.push(JSON.parse(line)), run, signal: new AbortController().signal });
  let last = 0;
  const send = (message: unknown): void => void input.write(`${JSON.stringify(message)}\n`);
  const ask = async (method: string, params: unknown = {}): Promise<Answer> => {
    last += 1;
    const id = last;
    send({ jsonrpc: '2.0', id, method, params });
    await expect.poll(() => answers.some((answer) => answer.id === id)).toBe(true);
    return answers.find((answer) => answer.id === id) as Answer;
  };
  return { input, answers, over, send, ask, call: (name: string, given: unknown = {}) => ask('tools/call', { name, arguments: given }) };
};

test('mcp › lists its tools and runs them as commands of hypr', async () => {
  const ran: Array<readonly [readonly string[], string | undefined]> = [];
  const client = open(async (args, directory) => {
    ran.push([args, directory]);
    return { code: args.includes('why') ? 1 : 0, output: 'said' };
  });
  expect(await client.ask('initialize', { protocolVersion: '2024-11-05' })).toMatchObject({
    result: { protocolVersion: '2024-11-05', serverInfo: { name: 'hypr' } },
  });
  expect((await client.ask('tools/list')).result?.tools?.map(({ name }) => name)).toEqual([
    'list',
    'logs',
    'why',
    'url',
    'exec',
    'up',
    'down',
  ]);
  expect(await client.call('list')).toMatchObject({ result: { content: [{ type: 'text', text: 'said' }], isError: false } });
  await client.call('logs', { directory: '/shop', services: ['web'], lines: 7 });
  await client.call('exec', { stack: 'shop', service: 'db', command: ['psql', '-c', 'select 1'] });
  await client.call('up', { build: true });
  expect((await client.call('why')).result).toEqual({ content: [{ type: 'text', text: 'said\n(exit code 1)' }], isError: true });
  expect(ran).toEqual([
    [['ls', '-a', '--format', 'json'], undefined],
    [['logs', '--no-color', '--tail', '7', 'web'], '/shop'],
    [['-p', 'shop', 'exec', '-T', 'db', 'psql', '-c', 'select 1'], undefined],
    [['up', '-d', '--wait', '--build'], undefined],
    [['why'], undefined],
  ]);
  client.input.end();
  await client.over;
});

test('mcp › outlives parameters that are none', async () => {
  const client = open(async () => expect.unreachable());
  for (const params of [null, [], 'list', 7]) {
    expect(await client.ask('tools/call', params)).toMatchObject({ error: { code: -32602 } });
    expect(await client.ask('initialize', params)).toMatchObject({ result: { serverInfo: { name: 'hypr' } } });
  }
  client.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: null });
  client.input.end();
  await client.over;
});

test('mcp › takes no name for a flag, and says what is wrong with a request', async () => {
  const client = open(async () => expect.unreachable());
  for (const given of [{ services: ['--help'] }, { stack: '-x' }, { services: 'web' }, { lines: -1 }, { other: 1 }, { directory: 1 }]) {
    expect(await client.call('logs', given)).toMatchObject({ result: { isError: true } });
  }
  expect(await client.call('exec', { service: 'web', command: [] })).toMatchObject({ result: { isError: true } });
  expect(await client.call('nothing')).toMatchObject({ error: { code: -32602 } });
  expect(await client.ask('resources/list')).toMatchObject({ error: { code: -32601 } });
  client.input.write('{no\n');
  await expect.poll(() => client.answers.at(-1)?.error?.code).toBe(-32700);
  client.input.end();
  await client.over;
});

test('mcp › ends a call that is cancelled, and all when the input ends', async () => {
  const ended: string[] = [];
  const client = open(
    (args, _, signal) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => {
          ended.push(args[0] ?? '');
          reject(new Error('ended'));
        }),
      ),
  );
  client.send({ jsonrpc: '2.0', id: 'a', method: 'tools/call', params: { name: 'up' } });
  client.send({ jsonrpc: '2.0', id: 'b', method: 'tools/call', params: { name: 'down' } });
  client.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'a' } });
  await expect.poll(() => ended).toEqual(['up']);
  client.input.end();
  await client.over;
  expect(ended).toEqual(['up', 'down']);
});

test('hypr mcp › answers on its standard output, by the program itself', async () => {
  const home = mkdtempSync(join(tmpdir(), 'hypr-mcp-'));
  const child = spawn(hyprBin, ['mcp'], {
    env: { ...process.env, HYPR_HOME: home, HYPR_RUNTIME_DIR: join(home, 'run') },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  try {
    child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'list', arguments: {} } })}\n`);
    const lines = createInterface(child.stdout);
    const [line] = (await once(lines, 'line')) as [string];
    expect(JSON.parse(line)).toMatchObject({ id: 1, result: { isError: false, content: [{ text: expect.stringMatching(/^\[\]/) }] } });
    for (const directory of ['/nowhere', hyprBin]) {
      child.stdin.write(
        `${JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'list', arguments: { directory } } })}\n`,
      );
      const [answer] = (await once(lines, 'line')) as [string];
      expect(JSON.parse(answer)).toMatchObject({ result: { isError: true, content: [{ text: `there is no folder ${directory}` }] } });
    }
    child.stdin.end();
    expect(await once(child, 'exit')).toEqual([0, null]);
  } finally {
    child.kill('SIGKILL');
    rmSync(home, { recursive: true, force: true });
  }
}, 60_000);
