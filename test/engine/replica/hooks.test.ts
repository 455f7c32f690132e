import { describe, expect, test } from 'vitest';
import type { Service } from '../../../compose/model/model.ts';
import type { ProcessSpec } from '../../../guest/types.ts';
import type { FakeProcess } from '../support/fake-guest.ts';
import { needs } from '../support/project.ts';
import { linesOf, openTestStack, shopOf, type TestStack } from '../support/stack.ts';

/** What the guest of `web` was asked to run beside its workload; each ends with the code that `codes` has for its name. */
const follow = (stack: TestStack, codes: Readonly<Record<string, number>> = {}): ProcessSpec[] => {
  const ran: ProcessSpec[] = [];
  const spawn = (spec: ProcessSpec, process: FakeProcess) => {
    ran.push(spec);
    process.print(`${spec.args[0]} was here\n`);
    process.end({ code: codes[spec.args[0] ?? ''] ?? 0, oomKilled: false });
  };
  stack.platform.behave('web', { spawn });
  return ran;
};

const web = (more: Service = {}): Service => ({
  environment: { A: 'one', B: 'two' },
  working_dir: '/srv',
  user: 'app',
  post_start: [
    { command: ['first', 'x'], user: 'root', working_dir: '/tmp', environment: { A: 'uno', C: null }, privileged: true },
    { command: ['second'] },
  ],
  pre_stop: [{ command: ['last'] }],
  ...more,
});

const names = (ran: readonly ProcessSpec[]) => ran.map((spec) => spec.args[0]);

describe('post_start', () => {
  test('runs in the order of the file, as the workload where nothing else is said, before what depends on the service', async () => {
    const stack = openTestStack();
    const ran = follow(stack);
    const atStart: unknown[] = [];
    stack.platform.behave('api', { onStart: () => atStart.push(...names(ran)) });
    await stack.up(shopOf(stack, { web: web(), api: { depends_on: needs('web') } }));
    expect(atStart).toEqual(['first', 'second']);
    const environment = (spec: ProcessSpec | undefined) => spec?.env.filter((entry) => /^[ABC]=/.test(entry)).sort();
    expect(ran[0]).toMatchObject({ args: ['first', 'x'], user: 'root', cwd: '/tmp', privileged: true, tty: false, stdin: false });
    expect(environment(ran[0])).toEqual(['A=uno', 'B=two']);
    expect(ran[1]).toMatchObject({ args: ['second'], user: 'app', cwd: '/srv', privileged: false });
    expect(environment(ran[1])).toEqual(['A=one', 'B=two']);
    await stack.supervisor.settleLogs();
    const said = ['shop-web-1 first was here', 'shop-web-1 second was here'];
    expect(await linesOf(stack.supervisor.logs.read('shop-web-1', 'web', {}))).toEqual(said);
    expect(stack.events.flatMap((event) => (event.type === 'log' ? [event.record.line] : []))).toEqual([
      'first was here',
      'second was here',
    ]);
  });

  test('one that fails fails the up, with its last words; what comes after it is not run and the service runs on', async () => {
    const stack = openTestStack();
    const ran = follow(stack, { first: 3 });
    await expect(stack.up(shopOf(stack, { web: web(), api: { depends_on: needs('web') } }))).rejects.toMatchObject({
      code: 'SERVICE_FAILED',
      message: 'web hook exited with status 3: the post_start hook "first x" of shop-web-1',
      details: ['first was here'],
    });
    expect(names(ran)).toEqual(['first']);
    expect(stack.states()).toEqual({ 'shop-web-1': 'running', 'shop-api-1': 'created' });
  });

  test('is not run where nothing was started: a second up, a restart by policy', async () => {
    const stack = openTestStack();
    const ran = follow(stack);
    const project = shopOf(stack, { web: web({ restart: 'always' }) });
    await stack.up(project);
    await stack.up(project);
    stack.platform.guest('shop-web-1').end(1);
    await stack.reach('shop-web-1', 'restarting');
    await stack.reach('shop-web-1', 'running');
    expect(names(ran)).toEqual(['first', 'second']);
  });

  test('an up that is interrupted ends the hook', async () => {
    const stack = openTestStack();
    const hooks: FakeProcess[] = [];
    stack.platform.behave('web', { spawn: (_, process) => void hooks.push(process) });
    const controller = new AbortController();
    const up = stack.up(shopOf(stack, { web: web() }), {}, controller.signal).catch((error: unknown) => error);
    await stack.until(() => stack.states()['shop-web-1'] === 'running');
    while (hooks.length === 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    controller.abort();
    expect(await up).toMatchObject({ name: 'AbortError' });
    expect(hooks.map((hook) => hook.signals)).toEqual([[9]]);
  });
});

describe('pre_stop', () => {
  test('is run by stop, restart and down while the service runs, not by kill and not after its end', async () => {
    const stack = openTestStack();
    const ran = follow(stack);
    await stack.up(shopOf(stack, { web: web({ post_start: [{ command: ['first'] }] }) }));
    const runs = async (work: () => Promise<void>) => {
      ran.length = 0;
      await work();
      return names(ran);
    };
    expect(await runs(() => stack.verb('restart'))).toEqual(['last', 'first']);
    expect(await runs(() => stack.verb('stop'))).toEqual(['last']);
    expect(await runs(() => stack.verb('stop'))).toEqual([]);
    expect(await runs(() => stack.verb('start'))).toEqual(['first']);
    expect(await runs(() => stack.verb('kill', { signal: 'SIGKILL' }))).toEqual([]);
    expect(await runs(() => stack.verb('start'))).toEqual(['first']);
    await stack.verb('pause');
    expect(await runs(() => stack.down())).toEqual(['last']);
    expect(stack.states()).toEqual({});
  });

  test('one that fails leaves the service running and says how to end it all the same', async () => {
    const stack = openTestStack();
    follow(stack, { last: 1 });
    await stack.up(shopOf(stack, { web: web() }));
    await expect(stack.verb('stop')).rejects.toMatchObject({
      code: 'SERVICE_FAILED',
      message: 'web hook exited with status 1: the pre_stop hook "last" of shop-web-1',
      hint: expect.stringContaining('hypr kill'),
    });
    expect(stack.states()).toEqual({ 'shop-web-1': 'running' });
  });

  test('a service that ends during its hook is stopped', async () => {
    const stack = openTestStack();
    stack.platform.behave('web', {
      spawn: (spec, process) => {
        if (spec.args[0] === 'last') {
          stack.platform.guest('shop-web-1').end(0);
        }
        process.end({ code: spec.args[0] === 'last' ? 137 : 0, oomKilled: false });
      },
    });
    await stack.up(shopOf(stack, { web: web() }));
    await stack.verb('stop');
    expect(stack.states()).toEqual({ 'shop-web-1': 'exited' });
  });
});

test('a hook without a command is a mistake of the file', async () => {
  const stack = openTestStack();
  await expect(stack.up(shopOf(stack, { web: web({ pre_stop: [{ command: [] }] }) }))).rejects.toMatchObject({
    code: 'COMPOSE_INVALID',
    message: 'service web: pre_stop: a hook has no command',
  });
});
