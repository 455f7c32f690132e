import nodeConsole from 'node:console';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import type { EngineEvent } from '../../../engine/model/events.ts';
import { type FakeContext, fakeContext, fakeProject, run } from '../support/fake-context.ts';
import { NOW, replica } from '../support/fake-engine.ts';

// Ink patches the console, and vitest's own cannot be patched.
beforeAll(() => {
  vi.stubGlobal('console', nodeConsole);
});
afterAll(() => {
  vi.unstubAllGlobals();
});

const ENTER = '\u001b[?1049h';
const LEAVE = '\u001b[?1049l';

const onTerminal = (env: NodeJS.ProcessEnv = {}): FakeContext => {
  const context = fakeContext({ env, project: fakeProject({ services: { web: { image: 'nginx' } } }) });
  context.stdin.isTTY = true;
  context.stdout.isTTY = true;
  context.stderr.isTTY = true;
  context.fake.onUp = async () => {
    context.fake.replicas = [replica({ service: 'web', ports: [{ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 8080, port: 80 }] })];
    context.fake.events.push({ type: 'replica', time: NOW, action: 'start', replica: replica({ service: 'web' }) });
  };
  return context;
};

/** Resolves when Ink has put the terminal into raw mode, so that keys are heard. */
const listening = async (context: FakeContext, done: Promise<number>): Promise<void> => {
  let over = false;
  void done.then(() => {
    over = true;
  });
  while (!context.stdin.rawModes.includes(true)) {
    if (over) {
      throw new Error(`the dashboard ended at once: ${context.stderr.text}`);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
};

const restored = (context: FakeContext): void => {
  expect(context.stdout.text.split(ENTER)).toHaveLength(context.stdout.text.split(LEAVE).length);
  expect(context.stdout.text.lastIndexOf(LEAVE)).toBeGreaterThan(context.stdout.text.lastIndexOf(ENTER));
  expect(context.stdin.rawModes.at(-1)).toBe(false);
};

describe('the dashboard from start to end', () => {
  test('d leaves with 0, the stack goes on, and its addresses are printed', async () => {
    const context = onTerminal();
    const done = run(context, 'up');
    await listening(context, done);
    context.stdin.write('d');
    expect(await done).toBe(0);
    restored(context);
    expect(context.fake.call('stop')).toBeUndefined();
    expect(context.stderr.text).toBe(
      'shop goes on without the dashboard:\n web-1  http://127.0.0.1:8080\n logs: hypr logs -f   stop: hypr down\n',
    );
    expect(context.fake.closed).toBe(1);
  });

  /** An `up` that has said how far it is, and ends when the test says so. */
  const halfWay = (context: FakeContext, buildTime = NOW) => {
    const ending = Promise.withResolvers<void>();
    const more = Promise.withResolvers<(event: EngineEvent) => void>();
    context.fake.onUp = (onEvent, signal) => {
      onEvent(container('shop-db-1', 'Healthy', 'done'));
      onEvent(container('shop-web-1', 'Creating', 'working'));
      const vertex = { type: 'vertex' as const, id: 4, name: '[2/3] RUN make', time: buildTime };
      onEvent({ type: 'build', time: NOW, service: 'web', event: { ...vertex, state: 'started' } });
      more.resolve(onEvent);
      signal?.addEventListener('abort', () => ending.reject(signal.reason));
      return ending.promise;
    };
    return { ending, more: more.promise };
  };
  const container = (name: string, text: string, status: 'working' | 'done'): EngineEvent => ({
    ...{ type: 'progress', time: NOW },
    progress: { id: `Container ${name}`, status, text },
  });
  const said = async (context: FakeContext, text: string): Promise<void> => {
    while (!context.stderr.text.includes(text)) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

  test('d while it comes up goes on on the normal screen, with what was before, and ends with how everything is', async () => {
    const context = onTerminal({ COMPOSE_PROGRESS: 'plain' });
    const { ending, more } = halfWay(context);
    const done = run(context, 'up');
    await listening(context, done);
    const onEvent = await more;
    context.stdin.write('d');
    await said(context, 'Creating');
    restored(context);
    onEvent(container('shop-web-1', 'Started', 'done'));
    context.fake.replicas = [replica({ service: 'web' })];
    ending.resolve();
    expect(await done).toBe(0);
    expect(context.stderr.text).toBe(
      [
        'up goes on here; Ctrl-C calls it off',
        ' Container shop-db-1 Healthy',
        ' Container shop-web-1 Creating',
        ' Container shop-web-1 Started',
        'shop goes on without the dashboard:',
        ' web-1  no published ports',
        ' logs: hypr logs -f   stop: hypr down',
        '',
      ].join('\n'),
    );
    expect(context.stdout.text).toContain('#1 [web 2/3] RUN make\n');
  });

  test('Ctrl-C there calls it off, says what stays, and gives 130', async () => {
    const context = onTerminal({ COMPOSE_PROGRESS: 'plain' });
    const { more } = halfWay(context);
    const done = run(context, 'up');
    await listening(context, done);
    await more;
    context.stdin.write('d');
    await said(context, 'Creating');
    context.interrupts.fire();
    expect(await done).toBe(130);
    expect(context.stderr.text).toContain('what was started goes on: hypr ps shows it, hypr down ends it');
    expect(context.fake.call('stop')).toBeUndefined();
  });

  test('an up that fails there ends with its error', async () => {
    const context = onTerminal({ COMPOSE_PROGRESS: 'plain' });
    const { ending, more } = halfWay(context);
    const done = run(context, 'up');
    await listening(context, done);
    await more;
    context.stdin.write('d');
    await said(context, 'Creating');
    ending.reject(new HyprError('IMAGE_NOT_FOUND', 'there is no image nginx:nope'));
    expect(await done).toBe(1);
    expect(context.stderr.text).toContain('there is no image nginx:nope');
    expect(context.stderr.text).not.toContain('goes on without');
  });

  test('of two that go on there, one that fails does not end the other', async () => {
    const context = onTerminal({ COMPOSE_PROGRESS: 'plain' });
    const { ending, more } = halfWay(context);
    const begun = Promise.withResolvers<void>();
    const restart = Promise.withResolvers<void>();
    context.fake.onVerb = () => {
      begun.resolve();
      return restart.promise;
    };
    const done = run(context, 'up');
    await listening(context, done);
    const onEvent = await more;
    context.stdin.write('r');
    await begun.promise;
    context.stdin.write('d');
    await said(context, 'up, restart go on here; Ctrl-C calls them off\n Container shop-db-1 Healthy');
    restart.reject(new HyprError('STACK_BUSY', 'restart is not possible now'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    onEvent(container('shop-web-1', 'Started', 'done'));
    ending.resolve();
    expect(await done).toBe(1);
    expect(context.stderr.text).toMatch(/shop-web-1 Started[\s\S]*restart is not possible now/);
  });

  test('what a watch was doing goes on there, too', async () => {
    const context = onTerminal({ COMPOSE_PROGRESS: 'plain' });
    const restarting = Promise.withResolvers<void>();
    let until: AbortSignal | undefined;
    context.fake.onWatch = async ({ act }) => {
      await act?.('restart web', (signal) => {
        until = signal;
        return restarting.promise;
      });
    };
    const done = run(context, 'up');
    await listening(context, done);
    context.stdin.write('w');
    while (until === undefined) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    context.stdin.write('d');
    await said(context, 'restart web goes on here; Ctrl-C calls it off');
    expect(until.aborted).toBe(false);
    restarting.resolve();
    expect(await done).toBe(0);
  });

  test('an operation does not show the build of one before it', async () => {
    const context = onTerminal({ COMPOSE_PROGRESS: 'plain' });
    const { ending, more } = halfWay(context, NOW - 1);
    const begun = Promise.withResolvers<void>();
    const restart = Promise.withResolvers<void>();
    context.fake.onVerb = () => {
      begun.resolve();
      return restart.promise;
    };
    const done = run(context, 'up');
    await listening(context, done);
    await more;
    ending.resolve();
    await new Promise((resolve) => setTimeout(resolve, 20));
    context.stdin.write('r');
    await begun.promise;
    context.stdin.write('d');
    await said(context, 'restart goes on here');
    restart.resolve();
    expect(await done).toBe(0);
    expect(context.stdout.text).not.toContain('#1 [web 2/3] RUN make\n');
    expect(context.stderr.text).not.toContain('shop-db-1 Healthy');
  });

  test.each([
    ['d', 's', 'stop goes on here'],
    ['Ctrl-C', 's', 'Gracefully Stopping'],
  ])('%s while a key is carried out: %s', async (how, key, wanted) => {
    const context = onTerminal();
    const begun = Promise.withResolvers<void>();
    const ending = Promise.withResolvers<void>();
    let calledOff = false;
    context.fake.onVerb = (_verb, _onEvent, signal) => {
      signal?.addEventListener('abort', () => {
        calledOff = true;
        ending.reject(signal.reason);
      });
      begun.resolve();
      return ending.promise;
    };
    const done = run(context, 'up');
    await listening(context, done);
    context.stdin.write(key);
    await begun.promise;
    context.fake.onVerb = async () => {};
    context.stdin.write(how === 'd' ? 'd' : '\u0003');
    await said(context, wanted);
    expect(calledOff).toBe(how !== 'd');
    ending.resolve();
    expect(await done).toBe(how === 'd' ? 0 : 130);
  });

  test('keys that come in one piece with the d do nothing', async () => {
    const context = onTerminal();
    const done = run(context, 'up');
    await listening(context, done);
    while (!context.stdout.text.includes('web-1')) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    context.stdin.write('drs');
    expect(await done).toBe(0);
    expect(context.fake.call('restart') ?? context.fake.call('stop')).toBeUndefined();
  });

  test('what comes in one piece with the e is for the shell', async () => {
    const context = onTerminal();
    // A shell that ends with its first line.
    context.fake.execOutput = (async function* () {
      while (!context.fake.written.includes('\r')) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      yield { stream: 'stdout' as const, data: Buffer.from('bye') };
    })();
    const done = run(context, 'up');
    await listening(context, done);
    while (!context.stdout.text.includes('web-1')) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    context.stdin.write('eecho \u001b[Dx\r');
    while (!context.stdout.text.includes('the shell in web ended with 0')) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(context.fake.written).toBe('echo \u001b[Dx\r');
    context.stdin.write('d');
    expect(await done).toBe(0);
    restored(context);
  });

  test('Ctrl-C stops everything on the normal screen and gives 130', async () => {
    const context = onTerminal();
    const done = run(context, 'up');
    await listening(context, done);
    context.stdin.write('\u0003');
    expect(await done).toBe(130);
    restored(context);
    expect(context.fake.call('stop')?.args[1]).toMatchObject({ services: [] });
    expect(context.stderr.text).toContain('Gracefully Stopping... press Ctrl+C again to force');
  });

  test('a SIGTERM counts as Ctrl-C', async () => {
    const context = onTerminal();
    const done = run(context, 'up');
    await listening(context, done);
    context.interrupts.fire();
    expect(await done).toBe(130);
    restored(context);
  });

  test('an up that fails ends it: the error is on the normal screen', async () => {
    const context = onTerminal();
    context.fake.onUp = async () => {
      throw new HyprError('IMAGE_NOT_FOUND', 'there is no image nginx:nope');
    };
    expect(await run(context, 'up')).toBe(1);
    restored(context);
    expect(context.stderr.text).toContain('there is no image nginx:nope');
  });

  test('o opens the address as hypr open does, and says why it was not', async () => {
    const context = onTerminal();
    context.fake.urls = new Map([['web', 'http://web.shop.localhost:7080/']]);
    const done = run(context, 'up');
    await listening(context, done);
    while (!context.stdout.text.includes('not opened: there is no display')) {
      context.stdin.write('o');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    context.stdin.write('d');
    expect(await done).toBe(0);
    expect(context.fake.call('open')?.args).toEqual([{ url: 'http://web.shop.localhost:7080/', reach: 'localhost' }]);
  });

  test('a key acts on the service, and its failure does not end the dashboard', async () => {
    const context = onTerminal();
    context.fake.onVerb = async (verb) => {
      throw new HyprError('STACK_BUSY', `${verb} is not possible now`);
    };
    const done = run(context, 'up');
    await listening(context, done);
    // The list is filled by events; until then there is nothing to restart.
    while (context.fake.call('restart') === undefined) {
      context.stdin.write('r');
      await new Promise((resolve) => setImmediate(resolve));
    }
    while (!context.stdout.text.includes('restart is not possible now')) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    context.stdin.write('d');
    expect(await done).toBe(0);
    expect(context.fake.call('restart')?.args[1]).toMatchObject({ services: ['web'] });
    restored(context);
  });
});

describe('when there is no dashboard', () => {
  test.each([
    ['up --no-ui', {}],
    ['up --menu=false', {}],
    ['up', { COMPOSE_MENU: '0' }],
    ['up', { CI: '1' }],
    ['up', { TERM: 'dumb' }],
    ['--ansi never up', {}],
    ['up --abort-on-container-exit', {}],
  ])('%s %j', async (line, env) => {
    const context = onTerminal(env);
    context.fake.onUp = async () => {
      context.fake.events.end();
    };
    expect(await run(context, line)).toBe(0);
    expect(context.stdout.text).not.toContain(ENTER);
  });

  test('--ui without a terminal is an error', async () => {
    const context = fakeContext();
    expect(await run(context, 'up --ui')).toBe(1);
    expect(context.stderr.text).toContain('the dashboard needs a terminal');
  });
});
