import { describe, expect, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import type { ReplicaStatus } from '../../../engine/model/events.ts';
import { type FakeContext, fakeContext, run } from '../support/fake-context.ts';
import { log, NOW, replica } from '../support/fake-engine.ts';

const say = (context: FakeContext, service: string, line: string): void => {
  void context.fake.events.push({ type: 'log', time: NOW, record: log(service, line) });
};

const change = (context: FakeContext, status: ReplicaStatus, action: 'start' | 'die' | 'update' = 'update'): void => {
  context.fake.replicas = [...context.fake.replicas.filter((each) => each.name !== status.name), status];
  void context.fake.events.push({ type: 'replica', time: NOW, action, replica: status });
};

/** Makes `up` start the services; resolves when it has. */
const starts = (context: FakeContext, ...services: string[]): Promise<void> =>
  new Promise((resolve) => {
    context.fake.onUp = async () => {
      for (const service of services) {
        change(context, replica({ service }), 'start');
      }
      resolve();
    };
  });

const exited = (service: string, exitCode = 0): ReplicaStatus => replica({ service, state: 'exited', exitCode, finishedAt: NOW });

describe('attached up as a stream', () => {
  test('--watch keeps services up to date beside the logs, once they are started', async () => {
    const context = fakeContext();
    const started = starts(context, 'web');
    const done = run(context, 'up --watch');
    await started;
    say(context, 'web', 'hello');
    change(context, exited('web'), 'die');
    expect(await done).toBe(0);
    expect(context.stderr.text).toContain('Watch enabled');
    expect(context.stdout.text).toContain('hello');
  });

  test('shows logs with prefixes and ends when everything has ended', async () => {
    const context = fakeContext();
    const started = starts(context, 'web', 'db');
    const done = run(context, 'up');
    await started;
    say(context, 'web', 'hello');
    change(context, exited('web', 3), 'die');
    say(context, 'db', 'bye');
    change(context, exited('db'));
    expect(await done).toBe(0);
    expect(context.stdout.text).toContain('web-1  | hello\nweb-1 exited with code 3\ndb-1   | bye\ndb-1 exited with code 0\n');
    expect(context.fake.closed).toBe(1);
  });

  test('one end is told once, also when snapshots follow it', async () => {
    const context = fakeContext();
    const started = starts(context, 'web', 'db');
    const done = run(context, 'up');
    await started;
    change(context, exited('web'), 'die');
    change(context, exited('web'));
    change(context, replica({ service: 'web', state: 'restarting', exitCode: 1 }), 'die');
    change(context, exited('db'), 'die');
    change(context, replica({ service: 'web' }), 'start');
    change(context, exited('web', 2), 'die');
    expect(await done).toBe(0);
    expect(context.stdout.text.replace(/^Attaching to .*\n/m, '')).toBe(
      'web-1 exited with code 0\ndb-1 exited with code 0\nweb-1 exited with code 2\n',
    );
  });

  test('a one-off beside it ends nothing, with --abort-on-container-exit either', async () => {
    const context = fakeContext();
    const started = starts(context, 'web');
    const done = run(context, 'up --abort-on-container-exit');
    await started;
    change(context, { ...exited('web'), name: 'shop-web-run-1', oneOff: true }, 'die');
    say(context, 'web', 'still here');
    change(context, exited('web', 4), 'die');
    expect(await done).toBe(4);
    expect(context.stdout.text).toBe('Attaching to web-1\nweb-1  | still here\nweb-1 exited with code 4\n');
  });

  test('a replica that restarts has not ended', async () => {
    const context = fakeContext();
    const started = starts(context, 'web');
    const done = run(context, 'up');
    await started;
    change(context, replica({ service: 'web', state: 'restarting', exitCode: 1 }), 'die');
    change(context, replica({ service: 'web' }), 'start');
    change(context, exited('web', 4), 'die');
    await done;
    expect(context.stdout.text).toBe('Attaching to web-1\nweb-1 exited with code 1 (restarting)\nweb-1 exited with code 4\n');
  });

  test('Ctrl-C stops all services and ends with 130', async () => {
    const context = fakeContext();
    starts(context, 'web', 'db');
    context.fake.onVerb = async () => {
      change(context, exited('web'), 'die');
      change(context, exited('db'), 'die');
    };
    context.fake.onUp = wrap(context.fake.onUp, () => context.interrupts.fire());
    expect(await run(context, 'up -t 3')).toBe(130);
    expect(context.stderr.text).toContain('Gracefully Stopping... press Ctrl+C again to force\n');
    expect(context.fake.call('stop')?.args[1]).toMatchObject({ services: [], timeout: 3 });
    expect(context.stdout.text).toContain('web-1 exited with code 0\n');
    expect(context.fake.call('kill')).toBeUndefined();
  });

  test('Ctrl-C in a build: what the build says at its end is no part of the stop', async () => {
    const context = fakeContext();
    const step = (state: 'started' | 'canceled') =>
      ({ type: 'build', time: 0, service: 'web', event: { type: 'vertex', id: 4, name: '[2/2] RUN x', state, time: 0 } }) as const;
    context.fake.onUp = async (onEvent, signal) => {
      onEvent(step('started'));
      context.interrupts.fire();
      signal?.throwIfAborted();
    };
    context.fake.onVerb = async (_, onEvent) => onEvent(step('canceled'));
    expect(await run(context, 'up --build')).toBe(130);
    expect(context.stderr.text).toBe('\nGracefully Stopping... press Ctrl+C again to force\n');
    expect(context.stdout.text).toBe('#1 [web 2/2] RUN x\n');
  });

  test('a second Ctrl-C kills', async () => {
    const context = fakeContext();
    starts(context, 'web');
    let release = (): void => {};
    context.fake.onVerb = (verb) =>
      verb === 'kill'
        ? Promise.resolve()
        : new Promise((resolve) => {
            release = resolve;
            context.interrupts.fire();
            release();
          });
    context.fake.onUp = wrap(context.fake.onUp, () => context.interrupts.fire());
    expect(await run(context, 'up')).toBe(130);
    expect(context.fake.calls.map((call) => call.name).filter((name) => name === 'stop' || name === 'kill')).toEqual(['stop', 'kill']);
  });

  test('--abort-on-container-exit gives the first code, --exit-code-from the code of its service', async () => {
    for (const [line, code] of [
      ['up --abort-on-container-exit', 3],
      ['up --exit-code-from db', 143],
      ['up --abort-on-container-failure', 3],
    ] as const) {
      const context = fakeContext();
      const started = starts(context, 'web', 'db');
      context.fake.onVerb = async () => change(context, exited('db', 143), 'die');
      const done = run(context, line);
      await started;
      change(context, exited('web', 3), 'die');
      expect(await done, line).toBe(code);
      expect(context.stderr.text).toContain('Aborting on container exit...');
    }
  });

  test('--attach and --no-attach choose whose logs are shown', async () => {
    const context = fakeContext();
    const started = starts(context, 'web', 'db');
    const done = run(context, 'up --no-attach db --no-log-prefix');
    await started;
    say(context, 'db', 'quiet');
    say(context, 'web', 'loud');
    change(context, exited('web'), 'die');
    expect(await done).toBe(0);
    expect(context.stdout.text).toBe('Attaching to web-1\nloud\nweb-1 exited with code 0\n');
  });

  test('a failing start is the error of the command', async () => {
    const context = fakeContext();
    context.fake.onUp = async () => {
      throw new HyprError('NET_PORT_IN_USE', 'port 8080 is taken');
    };
    expect(await run(context, 'up')).toBe(1);
    expect(context.stderr.text).toContain('port 8080 is taken');
  });

  test('a stream of events that breaks is an error, and nothing hangs', async () => {
    const context = fakeContext();
    starts(context, 'web');
    const engine = await context.engine();
    const broken = fakeContext({
      engine: {
        openStack: async (options) => ({
          ...(await engine.openStack(options)),
          events: async function* () {
            yield* [];
            throw new HyprError('SUPERVISOR_FAILED', 'the supervisor went away');
          },
        }),
      },
    });
    expect(await run(broken, 'up')).toBe(1);
    expect(broken.stderr.text).toContain('the supervisor went away');
  });

  test('on a terminal log lines are above the picture, and the cursor comes back', async () => {
    const context = fakeContext();
    context.stderr.isTTY = true;
    context.fake.onUp = async (onEvent) => {
      onEvent({ type: 'progress', time: NOW, progress: { id: 'Container shop-web-1', status: 'working', text: 'Starting' } });
      change(context, replica({ service: 'web' }), 'start');
      onEvent({ type: 'progress', time: NOW, progress: { id: 'Container shop-web-1', status: 'done', text: 'Started' } });
    };
    const up = context.fake.onUp;
    context.fake.onUp = async (onEvent) => {
      await up(onEvent);
      change(context, exited('web'), 'die');
    };
    await run(context, 'up');
    expect(context.stderr.text).toContain('[+] up 1/1');
    expect(context.stderr.text.split('\u001b[?25l')).toHaveLength(context.stderr.text.split('\u001b[?25h').length);
  });
});

const wrap =
  <A extends unknown[]>(first: (...args: A) => Promise<void>, then: () => void) =>
  async (...args: A): Promise<void> => {
    await first(...args);
    then();
  };
