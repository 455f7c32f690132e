import { describe, expect, test } from 'vitest';
import { createPaint } from '../../../cli/core/style.ts';
import { drawScreen } from '../../../cli/dashboard/draw/draw-screen.ts';
import type { Look } from '../../../cli/dashboard/screen/look.ts';
import { DashboardModel } from '../../../cli/dashboard/state/model.ts';
import { planOf } from '../../../cli/dashboard/state/plan.ts';
import type { BuildEvent } from '../../../engine/model/types.ts';
import { fakeProject } from '../support/fake-context.ts';
import { NOW, replica } from '../support/fake-engine.ts';

const look = (columns: number, rows: number): Look => ({ paint: createPaint(false), color: false, unicode: true, columns, rows });

const project = fakeProject({
  services: {
    web: { image: 'nginx', depends_on: { db: { condition: 'service_healthy', required: true } } },
    db: { image: 'postgres' },
    api: { build: { context: '/api' }, deploy: { replicas: 2 } },
  },
});

const setUp = () => {
  const clock = { now: NOW };
  const model = new DashboardModel({ stack: 'shop', now: () => clock.now, schedule: () => () => {} });
  model.plan = planOf(project, [], {});
  const endUp = model.beginOperation('up');
  const progress = (id: string, status: 'working' | 'done', text: string, extra = {}) =>
    model.apply({ type: 'progress', time: clock.now, progress: { id, status, text, ...extra } });
  const build = (event: BuildEvent) => model.apply({ type: 'build', time: clock.now, service: 'api', event });
  const draw = (columns = 120, rows = 14) =>
    drawScreen(model, look(columns, rows)).map((line) => line.replace(/\u001b\]8;;[^\u001b]*\u001b\\/g, '').trimEnd());
  return { endUp, model, clock, progress, build, draw };
};

describe('a first up', () => {
  test('every service of the plan from the start: build step, pull, and what the others wait for', () => {
    const { clock, progress, build, draw } = setUp();
    progress('Image shop-api', 'working', 'Building');
    build({ type: 'vertex', id: 4, name: '[2/4] RUN make', state: 'started', time: NOW });
    build({ type: 'log', id: 4, stream: 'stdout', text: 'cc main.c\ncc list.c\n', time: NOW });
    progress('Image postgres', 'working', 'Pulling');
    progress('layer', 'working', 'Downloading', { parentId: 'Image postgres', current: 12_000_000, total: 40_000_000 });
    clock.now += 12_000;
    expect(draw()).toEqual([
      `${' shop  0/4 running'.padEnd(86)}[+] up 0/2 Image postgres Pulling`,
      '› ◐ api-1 building 12.0s [2/4] RUN make          │ logs of all services',
      '    cc list.c                                    │ api-1 | => [2/4] RUN make',
      '  ◐ api-2 building 12.0s [2/4] RUN make          │ api-1 | cc main.c',
      '    cc list.c                                    │ api-1 | cc list.c',
      '  ◐ db-1  pulling 12MB/40MB                      │',
      '  ◐ web-1 waiting 12s for 2 images               │',
      ...Array.from({ length: 5 }, () => '                                                 │'),
      ' ? help · : all actions · / search · i why · r restart · e shell · d detach · q quit',
    ]);
  });

  test('with the images there it is the condition that is waited for, as tabs, too', () => {
    const { model, clock, progress, draw } = setUp();
    progress('Image postgres', 'done', 'Pulled');
    model.apply({ type: 'replica', time: NOW, action: 'start', replica: replica({ service: 'db', health: 'starting' }) });
    model.apply({ type: 'replica', time: NOW, action: 'create', replica: replica({ service: 'web', state: 'created' }) });
    clock.now += 5_000;
    model.change({ cursor: 'shop-web-1' });
    expect(draw(60, 12).slice(0, 5)).toEqual([
      `${' shop  1/4 running'.padEnd(49)}[+] up 1/1`,
      ' ◐ api-1  ◐ api-2  ◐ db-1  ◐[web-1]',
      ' waiting 5s for db: healthy',
      '',
      'logs of all services',
    ]);
  });

  test('a step that failed stays, in red', () => {
    const { model, build, draw } = setUp();
    build({ type: 'vertex', id: 4, name: '[2/4] RUN make', state: 'started', time: NOW });
    build({ type: 'log', id: 4, stream: 'stderr', text: 'main.c:3: error: no such thing\n', time: NOW });
    build({ type: 'vertex', id: 4, name: '[2/4] RUN make', state: 'error', time: NOW, duration: 900, error: 'exit code: 2' });
    expect(draw()[0]).toContain('2 in trouble: api-1, api-2');
    expect(draw()[1]).toContain('✗ api-1 build failed 0.9s [2/4] RUN make');
    expect(model.builds.get('api')?.failures('api')).toEqual(['------\n > [api 2/4] RUN make:\nmain.c:3: error: no such thing\n------\n']);
  });
});

describe('operations that overlap', () => {
  test('are each under way until they end themselves', () => {
    const { model, clock } = setUp();
    clock.now += 5000;
    const endStop = model.beginOperation('stop');
    expect([model.operation, model.operationSince, model.operations]).toEqual(['stop', NOW + 5000, ['up', 'stop']]);
    endStop();
    endStop();
    expect([model.operation, model.operationSince, model.operations]).toEqual(['up', NOW, ['up']]);
  });
});

describe('a crash loop', () => {
  test('keeps its exit code, is in trouble also while it runs, and its ends are in the log', () => {
    const { model, clock, draw, endUp } = setUp();
    const web = (extra: Parameters<typeof replica>[0] extends infer R ? Partial<R> : never, action: 'die' | 'start') =>
      model.apply({ type: 'replica', time: clock.now, action, replica: replica({ service: 'web', ...extra }) });
    endUp();
    model.plan = [];
    web({ state: 'restarting', exitCode: 3, restarts: 8, finishedAt: NOW }, 'die');
    expect(draw()[1]).toMatch(/^› ✗ web-1 restarting exit 3 ×8 +│/);
    expect(draw()[2]).toMatch(/│ web-1 \| exited with code 3 \(restarting\)$/);
    web({ state: 'running', restarts: 8, startedAt: NOW }, 'start');
    expect(draw()[0]).toContain('1/1 running  1 in trouble: web-1');
    expect(draw()[1]).toMatch(/^› ✗ web-1 up 0s exit 3 ×8/);
    clock.now += 60_000;
    expect(draw()[0]).not.toContain('trouble');
  });

  test('what ended uses nothing, also when a sample of it comes late', () => {
    const { model, draw } = setUp();
    const usage = {
      replica: 'shop-web-1',
      cpu: 90,
      memory: 88e6,
      memoryLimit: 1e9,
      hostMemory: 0,
      netRx: 0,
      netTx: 0,
      blockRead: 0,
      blockWrite: 0,
      pids: 1,
    };
    const tell = (state: 'running' | 'exited') =>
      model.apply({ type: 'replica', time: NOW, action: 'update', replica: replica({ service: 'web', state }) });
    tell('running');
    model.apply({ type: 'usage', time: NOW, usage });
    expect(draw().join('\n')).toContain('90%');
    tell('exited');
    model.apply({ type: 'usage', time: NOW, usage });
    expect(draw().join('\n')).not.toContain('90%');
  });
});

test('a window that is too small says so, with what matters', () => {
  const { draw } = setUp();
  expect(draw(30, 8).slice(0, 3)).toEqual(['0/4 running', 'too small: 30×8, needs 40×8', 'd detach, q quit']);
});
