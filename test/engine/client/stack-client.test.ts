import { rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { apiMethods } from '../../../engine/api/server/handlers.ts';
import { serveApi } from '../../../engine/api/server/server.ts';
import { StackClient } from '../../../engine/client/stack-client.ts';
import type { EngineEvent } from '../../../engine/model/events.ts';
import { DOWN_DEFAULTS, EXEC_DEFAULTS, UP_DEFAULTS, VERB_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import type { Platform } from '../../../engine/model/platform.ts';
import { stackPaths } from '../../../engine/model/stack-paths.ts';
import type { UpOptions } from '../../../engine/model/types.ts';
import { Cue } from '../support/cue.ts';
import { needs } from '../support/project.ts';
import { openTestStack, shopOf, type TestStack } from '../support/stack.ts';

const host = vi.hoisted(() => ({ platform: undefined as Platform | undefined }));
vi.mock('../../../engine/host.ts', () => ({ openPlatform: async () => host.platform }));

afterEach(() => vi.unstubAllEnvs());

const openClient = async (options: { served: boolean }): Promise<{ stack: TestStack; client: StackClient; notices: string[] }> => {
  const stack = openTestStack();
  host.platform = stack.platform;
  vi.stubEnv('HYPR_HOME', join(stack.dir, 'home'));
  vi.stubEnv('HYPR_RUNTIME_DIR', join(stack.dir, 'r'));
  const { apiSocket } = stackPaths('shop');
  await mkdir(dirname(apiSocket), { recursive: true });
  const server = options.served
    ? await serveApi(apiSocket, apiMethods(stack.supervisor, { version: '1', stack: 'shop', recovered: [] }), () => {})
    : undefined;
  const notices: string[] = [];
  const client = new StackClient('shop', (message) => notices.push(message));
  onTestFinished(async () => {
    await client.close();
    await server?.close();
    rmSync(apiSocket, { force: true });
  });
  return { stack, client, notices };
};

const LOGS = { services: [], follow: false, tail: undefined, since: undefined, until: undefined, index: undefined };
const EXEC = { ...EXEC_DEFAULTS, service: 'web', args: ['sh'], stdin: true };

describe('with a supervisor', () => {
  test('from up to down, as a command does it', async () => {
    const { stack, client } = await openClient({ served: true });
    const events: EngineEvent[] = [];
    await client.up(shopOf(stack, { web: {} }), UP_DEFAULTS, (event) => events.push(event));
    expect(events.at(-1)).toMatchObject({ type: 'finished', operation: 'up' });
    expect(await client.ps()).toMatchObject([{ name: 'shop-web-1', state: 'running' }]);
    stack.platform.guest('shop-web-1').print('a line\n');
    await stack.until(() => stack.events.some((event) => event.type === 'log'));
    const lines: string[] = [];
    for await (const record of client.logs(LOGS)) {
      lines.push(record.line);
    }
    expect(lines).toEqual(['a line']);
    expect(await client.stats()).toMatchObject([{ replica: 'shop-web-1' }]);
    await client.verb('stop', undefined, VERB_DEFAULTS, () => {});
    expect(await client.wait(['web'])).toBe(143);
    await client.down(undefined, DOWN_DEFAULTS, () => {});
    expect(await client.ps()).toEqual([]);
  });

  test('the log of a replica begins with it; earlier ones of its stack are there when asked for, those of a stack that was removed are not', async () => {
    const { stack, client } = await openClient({ served: true });
    stack.platform.behave('web', { onStart: (guest) => guest.print(`run ${++runs}\n`) });
    let runs = 0;
    const linesOf = async (earlier: boolean): Promise<string[]> => {
      const lines: string[] = [];
      for await (const { line } of client.logs({ ...LOGS, earlier })) {
        lines.push(line);
      }
      return lines;
    };
    const printed = (count: number) => stack.until(() => stack.events.filter(({ type }) => type === 'log').length === count);
    const up = (options: Partial<UpOptions> = {}) => client.up(shopOf(stack, { web: {} }), { ...UP_DEFAULTS, ...options }, () => {});
    await up();
    await printed(1);
    await client.verb('restart', undefined, VERB_DEFAULTS, () => {});
    await printed(2);
    expect(await linesOf(false)).toEqual(['run 1', 'run 2']);
    await up({ forceRecreate: true });
    await printed(3);
    expect(await linesOf(false)).toEqual(['run 3']);
    expect(await linesOf(true)).toEqual(['run 1', 'run 2', 'run 3']);
    await client.down(undefined, DOWN_DEFAULTS, () => {});
    // While there is no other stack of that name they are kept, for whoever asks by name.
    expect(await client.logNames()).toEqual(['shop-web-1']);
    await up();
    await printed(4);
    expect(await linesOf(true)).toEqual(['run 4']);
  });

  test('exec passes bytes both ways, the size of the terminal and the exit code', async () => {
    const { stack, client } = await openClient({ served: true });
    const ready = new Cue();
    stack.platform.behave('web', {
      spawn: (_, process) => {
        process.print('prompt> ');
        void process.inputClosed.promise.then(() => {
          process.print(`got ${process.input.join('')}`, 'stderr');
          process.end({ code: 9, oomKilled: false });
        });
        ready.resolve();
      },
    });
    await stack.up(shopOf(stack, { web: {} }));
    const session = await client.exec(EXEC);
    await ready.promise;
    session.write(Buffer.from('ls'));
    session.closeStdin();
    const output: string[] = [];
    for await (const chunk of session.output) {
      output.push(`${chunk.stream} ${Buffer.from(chunk.data).toString()}`);
    }
    expect([output, await session.exitCode]).toEqual([['stdout prompt> ', 'stderr got ls'], 9]);
  });

  test('a failure comes as it was thrown; an interruption as one', async () => {
    const { stack, client } = await openClient({ served: true });
    stack.platform.taken.add(80);
    const taken = shopOf(stack, { web: { ports: [{ target: 80, published: '80' }] } });
    await expect(client.up(taken, UP_DEFAULTS, () => {})).rejects.toMatchObject({ code: 'NET_PORT_IN_USE' });
    stack.platform.behave('web', { boot: new Promise(() => {}) });
    const controller = new AbortController();
    const up = expect(client.up(shopOf(stack, { web: {} }), UP_DEFAULTS, () => {}, controller.signal)).rejects.toMatchObject({
      code: 'HYPR_CANCELLED',
    });
    await stack.reach('shop-web-1', 'starting');
    controller.abort();
    await up;
    await stack.reach('shop-web-1', 'created');
  });
});

describe('without one', () => {
  test('reads come from the database; nothing is started', async () => {
    const { stack, client } = await openClient({ served: false });
    expect(await client.ps()).toEqual([]);
    const warnings: string[] = [];
    await client.down(undefined, DOWN_DEFAULTS, (event) => event.type === 'warning' && warnings.push(event.message));
    expect(warnings).toEqual(['No resource found to remove for project "shop".']);
    await stack.up(shopOf(stack, { web: {} }));
    stack.platform.guest('shop-web-1').print('kept\n');
    stack.platform.guest('shop-web-1').end(6);
    await stack.reach('shop-web-1', 'exited');
    await stack.supervisor.settleLogs();
    expect(await client.ps()).toMatchObject([{ name: 'shop-web-1', state: 'exited', exitCode: 6 }]);
    const lines: string[] = [];
    for await (const record of client.logs(LOGS)) {
      lines.push(record.line);
    }
    expect(lines).toEqual(['kept']);
    expect(await client.wait([])).toBe(6);
    expect(await client.stats()).toEqual([]);
    await expect(client.exec(EXEC)).rejects.toMatchObject({ code: 'STACK_NOT_RUNNING' });
  });
});

describe('the plan', () => {
  test('of a new stack: images first, then the graph; nothing is changed', async () => {
    const { stack, client } = await openClient({ served: false });
    const project = shopOf(stack, { db: {}, web: { depends_on: needs('db') } });
    stack.platform.images.delete('web:1');
    expect(await client.plan(project, UP_DEFAULTS)).toBe(
      [
        'pull web:1 (no such image yet)',
        '#1 create-network default (no such network yet)',
        '#2 create shop-db-1 (no replica yet) after #1',
        '#3 boot shop-db-1 (no replica yet) after #2',
        '#4 start shop-db-1 (no replica yet) after #3',
        '#5 create shop-web-1 (no replica yet) after #1',
        '#6 boot shop-web-1 (no replica yet) after #5',
        '#7 await db service_started (web depends on it) after #4',
        '#8 start shop-web-1 (no replica yet) after #6 #7',
        '',
      ].join('\n'),
    );
    expect([stack.store.stacks(), stack.platform.journal]).toEqual([[], []]);
  });
});
