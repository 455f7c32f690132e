import { describe, expect, test } from 'vitest';
import { createPaint } from '../../../cli/core/style.ts';
import { handleKey } from '../../../cli/dashboard/control.ts';
import { lastPageTop } from '../../../cli/dashboard/draw/draw-pages.ts';
import { drawScreen } from '../../../cli/dashboard/draw/draw-screen.ts';
import { criticalPath, drawGraph } from '../../../cli/dashboard/draw/graph.ts';
import type { Effects } from '../../../cli/dashboard/effects.ts';
import { DashboardModel } from '../../../cli/dashboard/state/model.ts';
import { planOf } from '../../../cli/dashboard/state/plan.ts';
import { fakeProject } from '../support/fake-context.ts';
import { log, NOW, replica } from '../support/fake-engine.ts';

const look = { paint: createPaint(false), color: false, unicode: true, columns: 110, rows: 24 };
const PAGE = 20;

const setUp = () => {
  const model = new DashboardModel({ stack: 'shop', now: () => NOW, schedule: () => () => {} });
  const calls: unknown[][] = [];
  const effects = new Proxy({} as Effects, {
    get:
      (_, name) =>
      (...args: unknown[]) =>
        calls.push([name, ...args]),
  });
  model.apply({ type: 'replica', time: NOW, action: 'start', replica: replica({ service: 'web' }) });
  const press = (...keys: string[]): void => {
    for (const key of keys) {
      handleKey({ model, effects, page: PAGE, lastPageTop: () => lastPageTop(model, look, look.rows - 3) }, key);
    }
  };
  const write = (count: number): void => {
    for (let i = 0; i < count; i += 1) {
      model.logs.append(log('web', `line ${i}`));
    }
  };
  const draw = (): string => drawScreen(model, look).join('\n');
  return { model, calls, press, write, draw };
};

describe('moving in the log', () => {
  test('a log that fits on the screen does not move', () => {
    const { model, press, write, draw } = setUp();
    write(5);
    press('u', 'pageUp');
    expect(model.ui.anchor).toBeUndefined();
    expect(draw()).not.toContain('paused');
  });

  test('a page up keeps a whole page on the screen, to the oldest line', () => {
    const { model, press, write, draw } = setUp();
    write(30);
    press('u', 'u', 'u');
    expect(model.ui.anchor).toBe(PAGE);
    expect(draw()).toContain('paused, ↓ 10 new');
    press('G');
    expect(model.ui.anchor).toBeUndefined();
  });

  test('g asks for the first line on disk', () => {
    const { calls, press } = setUp();
    press('g');
    expect(calls).toEqual([['toStart']]);
  });
});

describe('searching', () => {
  test('counts, says which match it stands on, and looks on disk for older ones', () => {
    const { model, calls, press, write, draw } = setUp();
    write(30);
    model.logs.past.isAtStart = true;
    press('/', 'line 2', 'return');
    expect(draw()).toContain('/line 2 1/11');
    press('n');
    expect(draw()).toContain('/line 2 2/11');
    model.change({ search: 'nowhere', anchor: undefined });
    expect(draw()).toContain('/nowhere 0 matches');
    press('n');
    expect(calls).toEqual([['findOlder']]);
  });
});

describe('services', () => {
  test('keys of the table do what it says', () => {
    const { calls, press } = setUp();
    press('i', 'b', 'P', 'e', 'a', 'w', 'v');
    expect(calls).toEqual([
      ['why', 'web'],
      ['rebuild', 'web'],
      ['verb', 'pause', 'web'],
      ['shell', 'shop-web-1'],
      ['attach', 'shop-web-1'],
      ['watch'],
      ['raw'],
    ]);
  });

  test('scale takes a number, and nothing else', () => {
    const { model, calls, press, draw } = setUp();
    press('+');
    expect(draw()).toContain('how many replicas of web: ');
    press('3', 'return');
    expect(calls).toEqual([['scale', 'web', 3]]);
    press('+', 'x', 'return');
    expect(model.ui.message).toBe('"x" is no number of replicas');
  });

  test('a shell needs one that runs', () => {
    const { model, calls, press } = setUp();
    model.apply({ type: 'replica', time: NOW, action: 'die', replica: replica({ service: 'web', state: 'exited' }) });
    press('e');
    expect([calls, model.ui.message]).toEqual([[], 'web does not run']);
  });

  test('the palette finds an action by its words and runs it', () => {
    const { model, calls, press, draw } = setUp();
    press(':', 'rest');
    expect(draw()).toContain('› restart');
    press('return');
    expect(calls).toEqual([['verb', 'restart', 'web']]);
    expect(model.ui.mode).toBe('normal');
  });
});

describe('the graph', () => {
  const project = fakeProject({
    services: {
      web: {
        image: 'w',
        depends_on: { api: { condition: 'service_started', required: true }, db: { condition: 'service_healthy', required: true } },
      },
      api: { image: 'a', depends_on: { db: { condition: 'service_healthy', required: true } } },
      db: { image: 'd' },
    },
  });
  const times: Readonly<Record<string, number>> = { web: 1000, api: 500, db: 9000 };
  const plan = planOf(project, [], {});

  test('what waits for what, how long each took, and the chain that took longest', () => {
    expect(drawGraph(plan, { label: (service) => service, startMs: (service) => times[service], unicode: true })).toEqual([
      ' web 1.0s',
      ' ├─ api 0.5s  started',
      ' │  └─ db 9.0s  healthy',
      ' └─ db 9.0s  healthy',
      '',
      ' critical path: db 9.0s → api 0.5s → web 1.0s  = 10.5s',
    ]);
  });

  test('nothing is critical before anything has started', () => {
    expect(criticalPath(plan, () => undefined)).toEqual([]);
  });
});

test('up of some services plans these and what they need', () => {
  const project = fakeProject({
    services: {
      web: { image: 'w', depends_on: { db: { condition: 'service_started', required: true } }, scale: 2 },
      db: { image: 'd' },
      other: { image: 'o' },
    },
  });
  expect(planOf(project, ['web'], {}).map(({ service, replicas }) => [service, replicas])).toEqual([
    ['db', ['shop-db-1']],
    ['web', ['shop-web-1', 'shop-web-2']],
  ]);
});

describe('the page why', () => {
  const lines = [...Array.from({ length: 40 }, (_, at) => `reason ${at}`), `${'x'.repeat(150)} the end of a long line`];

  test('moves to its last line, long lines whole, and no further', () => {
    const { model, press, draw } = setUp();
    model.change({ mode: 'why', page: lines, pageTop: 0 });
    expect(draw()).toContain('reason 0');
    expect(draw()).not.toContain('the end of a long line');
    press('j');
    expect(draw()).not.toContain('reason 0\n');
    press('pageDown', 'pageDown', 'pageDown');
    expect(draw()).toContain('the end of a long line');
    const top = model.ui.pageTop;
    press('j');
    expect(model.ui.pageTop).toBe(top);
  });

  test('is left with any other key', () => {
    const { model, press } = setUp();
    model.change({ mode: 'why', page: lines, pageTop: 3 });
    press('x');
    expect(model.ui.mode).toBe('normal');
  });
});
