import nodeConsole from 'node:console';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { RowTeller } from '../../../cli/dashboard/screen/tell-rows.ts';
import { Speaker } from '../../../cli/dashboard/speaker.ts';
import { DashboardModel } from '../../../cli/dashboard/state/model.ts';
import { type FakeContext, fakeContext, fakeProject, run } from '../support/fake-context.ts';
import { log, NOW, replica } from '../support/fake-engine.ts';

// Ink patches the console, and vitest's own cannot be patched.
beforeAll(() => {
  vi.stubGlobal('console', nodeConsole);
});
afterAll(() => {
  vi.unstubAllGlobals();
});

const setUp = () => {
  const told: string[] = [];
  let now = NOW;
  const model = new DashboardModel({ stack: 'shop', now: () => now, schedule: () => () => {} });
  const speaker = new Speaker(model, (text) => told.push(text));
  /** What was told since the last call. */
  const news = (): string[] => {
    speaker.tell();
    return told.splice(0).join('').split('\r\n').slice(0, -1);
  };
  const add = (status: Parameters<typeof replica>[0]): void =>
    model.apply({ type: 'replica', time: now, action: 'update', replica: replica(status) });
  const wait = (ms: number): void => {
    now += ms;
  };
  return { model, news, add, wait, told };
};

describe('the dashboard in words', () => {
  test('a state is told once, with its reason; that time goes by is no news', () => {
    const { news, add, wait } = setUp();
    add({ service: 'web', startedAt: NOW });
    expect(news()).toEqual(['web-1: up 0s']);
    wait(61_000);
    expect(news()).toEqual([]);
    add({ service: 'web', startedAt: NOW, health: 'unhealthy', reason: 'health check: not ready' });
    expect(news()).toEqual(['web-1: unhealthy 1m, health check: not ready']);
    add({ service: 'web', state: 'exited', exitCode: 3, startedAt: NOW });
    expect(news()[0]).toBe('web-1: exit 3');
  });

  test('each warning is told once, also when several come at a time or the view is another', () => {
    const { model, news, add } = setUp();
    const warn = (message: string): void => model.apply({ type: 'warning', time: NOW, message });
    add({ service: 'web', startedAt: NOW });
    news();
    warn('the disk is almost full');
    expect(news()).toEqual(['warning: the disk is almost full']);
    expect(news()).toEqual([]);
    warn('one');
    warn('two');
    model.apply({ type: 'log', time: NOW, record: log('web', 'GET /') });
    expect(news()).toEqual(['warning: one', 'warning: two', 'web-1 | GET /']);
    model.change({ filter: { text: 'nothing has this', inverse: false } });
    news();
    warn('three');
    expect(news()).toEqual(['warning: three']);
    model.change({ message: 'copied' });
    expect(news()).toEqual(['copied']);
  });

  test('of restarts without end only some are told; what was searched for is read without marks', () => {
    const { model, news, add } = setUp();
    const told: string[] = [];
    for (let restarts = 1; restarts <= 9; restarts += 1) {
      model.apply({
        type: 'replica',
        time: NOW,
        action: 'die',
        replica: replica({ service: 'web', state: 'restarting', exitCode: 3, restarts }),
      });
      told.push(...news().filter((line) => line.startsWith('web-1: ')));
      add({ service: 'web', startedAt: NOW + restarts, restarts });
      told.push(...news().filter((line) => line.startsWith('web-1: ')));
    }
    expect(told).toEqual([1, 2, 4, 8].map((count) => `web-1: restarting exit 3 x${count}`));
    model.apply({ type: 'log', time: NOW, record: log('web', 'row 5') });
    news();
    model.change({ search: 'row', anchor: model.logs.newest });
    expect(news()).toEqual(['match 1 of 1', 'web-1 | row 5']);
  });

  test('lines of logs come as they come, those of a chosen service alone, and of a flood the newest', () => {
    const { model, news, add } = setUp();
    add({ service: 'db', startedAt: NOW });
    add({ service: 'web', startedAt: NOW });
    news();
    model.apply({ type: 'log', time: NOW, record: log('web', 'GET / \u001b[31m500\u001b[0m') });
    model.apply({ type: 'log', time: NOW, record: log('db', 'ready') });
    expect(news()).toEqual(['web-1 | GET / 500', 'db-1  | ready']);
    model.change({ cursor: 'shop-db-1', showAll: false });
    expect(news()).toEqual(['db-1: up 0s', 'logs of this service', 'ready']);
    model.apply({ type: 'log', time: NOW, record: log('web', 'not told') });
    expect(news()).toEqual([]);
    for (let line = 1; line <= 300; line += 1) {
      model.apply({ type: 'log', time: NOW, record: log('db', `row ${line}`) });
    }
    const flood = news();
    expect([flood.length, flood[0], flood[1], flood.at(-1)]).toEqual([
      101,
      'more lines came than can be told; the newest are:',
      'row 201',
      'row 300',
    ]);
  });

  test('what is typed is heard letter by letter, and nothing between the letters', () => {
    const { model, news, told, add } = setUp();
    model.change({ mode: 'search', input: '' });
    expect(news()).toEqual(['search for:']);
    model.change({ input: 'ro' });
    add({ service: 'web', startedAt: NOW });
    expect([news(), told]).toEqual([[], []]);
    model.change({ input: 'r' });
    model.change({ mode: 'normal', input: '' });
    expect(news()).toEqual(['', 'web-1: up 0s']);
  });

  test('pages are read once, from their first line to their last', () => {
    const { model, news } = setUp();
    model.change({ mode: 'help' });
    const page = news();
    expect([page[0], page.at(-2), page.at(-1)]).toEqual(['Services', '?       this page', 'Escape goes back']);
    model.change({ mode: 'why', page: ['web-1: ended with 3'] });
    expect(news()).toEqual(['web-1: ended with 3', 'Escape goes back']);
    model.change({ mode: 'quit' });
    expect(news()).toEqual(['Stop the stack?  s stop - d leave it running - Esc stay']);
  });
});

test('rows of other screens are told when they are new, and when the cursor comes to them', () => {
  let told = '';
  const teller = new RowTeller((text) => {
    told += text;
  });
  const news = (...rows: string[]): string[] => {
    told = '';
    teller.tell(rows);
    return told.split('\r\n').slice(0, -1);
  };
  expect(news(' hypr  2 stacks', '> * blog  up 2 minutes', '  * shop  up 3s', '')).toEqual([
    'hypr  2 stacks',
    '* blog  up 2 minutes',
    '* shop  up 3s',
  ]);
  expect(news(' hypr  2 stacks', '> * blog  up 3 minutes', '  * shop  up 4s')).toEqual([]);
  expect(news(' hypr  2 stacks', '  * blog  up 3 minutes', '> * shop  up 4s')).toEqual(['* shop  up 4s']);
  expect(news(' hypr  2 stacks', '  * blog  exited(1)', ' > * shop  up 4s')).toEqual(['* blog  exited(1)']);
});

const onTerminal = (env: NodeJS.ProcessEnv): FakeContext => {
  const context = fakeContext({ env, project: fakeProject({ services: { web: { image: 'nginx' } } }) });
  for (const stream of [context.stdin, context.stdout, context.stderr]) {
    stream.isTTY = true;
  }
  context.fake.onUp = async () => {
    context.fake.events.push({ type: 'replica', time: NOW, action: 'start', replica: replica({ service: 'web', startedAt: NOW }) });
    context.fake.events.push({ type: 'log', time: NOW, record: log('web', 'listening') });
  };
  return context;
};

/** Presses keys one after the other, each once the text before it was told. */
const sit = async (context: FakeContext, line: string, keys: ReadonlyArray<readonly [after: string, keys: string]>): Promise<number> => {
  let over = false;
  const done = run(context, line).finally(() => {
    over = true;
  });
  for (const [after, typed] of keys) {
    while (!context.stdout.text.includes(after) || !context.stdin.rawModes.includes(true)) {
      if (over) {
        throw new Error(`it ended before it told "${after}":\n${context.stdout.text}${context.stderr.text}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    context.stdin.write(typed);
  }
  return done;
};

describe('up for a screen reader', () => {
  test.each([
    ['INK_SCREEN_READER', { INK_SCREEN_READER: 'true' }, {}],
    ['the setting', {}, { screen_reader: 'on' }],
  ])('%s: lines that stay, keys as ever, and no sequence that moves the cursor', async (_, env, stored) => {
    const context = onTerminal(env);
    context.stored = stored;
    const code = await sit(context, 'up', [
      ['web-1 | listening', '?'],
      ['Escape goes back', '\u001b'],
      ['Escape goes back', 'q'],
      ['Stop the stack?', 'd'],
    ]);
    expect(code).toBe(0);
    const text = context.stdout.text.replaceAll('\u001b[?2004h', '').replaceAll('\u001b[?2004l', '');
    expect(text).not.toMatch(/\u001b/);
    expect(text).toContain('web-1: up');
    expect(text).toContain('restart\r\n');
    expect(context.stdin.rawModes.at(-1)).toBe(false);
    expect(context.stderr.text).toContain('shop goes on without the dashboard');
  });

  test('INK_SCREEN_READER=false comes before the setting', async () => {
    const context = onTerminal({ INK_SCREEN_READER: 'false' });
    context.stored = { screen_reader: 'on' };
    expect(await sit(context, 'up', [['web-1', 'd']])).toBe(0);
    expect(context.stdout.text).toContain('\u001b[?1049h');
  });
});
