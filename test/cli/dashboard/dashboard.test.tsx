import { render } from 'ink-testing-library';
import { Profiler } from 'react';
import { describe, expect, test } from 'vitest';
import { createPaint } from '../../../cli/core/style.ts';
import { Dashboard } from '../../../cli/dashboard/dashboard.tsx';
import { lastPageTop } from '../../../cli/dashboard/draw/draw-pages.ts';
import { drawScreen } from '../../../cli/dashboard/draw/draw-screen.ts';
import type { Effects } from '../../../cli/dashboard/effects.ts';
import type { Look } from '../../../cli/dashboard/screen/look.ts';
import { KEYS } from '../../../cli/dashboard/state/keys.ts';
import { DashboardModel, FLOOD_FRAME_MS, FRAME_MS } from '../../../cli/dashboard/state/model.ts';
import { widthOf } from '../../../cli/render/width.ts';
import type { ReplicaStatus, ReplicaUsage } from '../../../engine/model/events.ts';
import { log, NOW, replica } from '../support/fake-engine.ts';

const look = (columns: number, rows: number, extra: Partial<Look> = {}): Look => ({
  paint: createPaint(false),
  color: false,
  unicode: true,
  columns,
  rows,
  ...extra,
});

/** A clock and a timer that move only when told to. */
class Time {
  now = NOW;
  #due: Array<{ at: number; work: () => void }> = [];

  readonly schedule = (work: () => void, ms: number): (() => void) => {
    const item = { at: this.now + ms, work };
    this.#due.push(item);
    return () => {
      this.#due = this.#due.filter((each) => each !== item);
    };
  };

  advance(ms: number): void {
    this.now += ms;
    const due = this.#due.filter((item) => item.at <= this.now);
    this.#due = this.#due.filter((item) => item.at > this.now);
    for (const item of due) {
      item.work();
    }
  }
}

const setUp = () => {
  const time = new Time();
  const model = new DashboardModel({ stack: 'shop', now: () => time.now, schedule: time.schedule });
  const calls: unknown[][] = [];
  const note =
    (name: string) =>
    (...args: unknown[]): void => {
      calls.push([name, ...args]);
    };
  const effects: Effects = {
    verb: note('verb'),
    rebuild: note('rebuild'),
    scale: note('scale'),
    why: note('why'),
    shell: note('shell'),
    attach: note('attach'),
    raw: note('raw'),
    watch: note('watch'),
    objects: note('objects'),
    toStart: note('toStart'),
    findOlder: note('findOlder'),
    openUrl: note('openUrl'),
    copy: note('copy'),
    interrupt: note('interrupt'),
    leave: note('leave'),
    suspend: note('suspend'),
  };
  const add = (status: ReplicaStatus): void => model.apply({ type: 'replica', time: time.now, action: 'update', replica: status });
  const write = (service: string, line: string): void => model.apply({ type: 'log', time: time.now, record: log(service, line) });
  return { time, model, calls, effects, add, write };
};

const fill = ({ add, model, time }: ReturnType<typeof setUp>): void => {
  const port = { protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 8080, port: 80 } as const;
  add(replica({ service: 'web', health: 'healthy', ports: [port], bootMs: 312, startedAt: NOW - 120_000 }));
  add(replica({ service: 'db', startedAt: NOW - 7_200_000 }));
  add(replica({ service: 'api', state: 'exited', exitCode: 137, restarts: 3, reason: 'out of memory' }));
  const usage = {
    replica: 'shop-web-1',
    cpu: 12.4,
    memory: 88_000_000,
    memoryLimit: 1e9,
    hostMemory: 0,
    netRx: 0,
    netTx: 0,
    blockRead: 0,
    blockWrite: 0,
    pids: 1,
  };
  model.apply({ type: 'usage', time: time.now, usage });
};

const trimmed = (lines: readonly string[]): string[] => lines.map((line) => line.replace(/\u001b\]8;;[^\u001b]*\u001b\\/g, '').trimEnd());

describe('the screen', () => {
  test('what the start of the chosen replica was made of, where there is room', () => {
    const bench = setUp();
    const startSpans = [
      { name: 'disks and mounts', ms: 4 },
      { name: 'prepare: disks, root, network, names', ms: 301.6 },
      { name: 'healthy', ms: 1204 },
    ];
    bench.add(replica({ service: 'web', bootMs: 512, startSpans }));
    const last = (columns: number) =>
      trimmed(drawScreen(bench.model, look(columns, 8)))
        .at(-1)
        ?.replace(/^.*q quit\s*/, '');
    expect(last(140)).toBe('booted in 0.51s: prepare 0.30 · healthy 1.20');
    expect(last(120)).toBe('booted in 0.51s: healthy 1.20');
    expect(last(110)).toBe('booted in 0.51s');
    expect(last(90)).toBe('');
    bench.time.now += 60_000;
    expect(last(140)).toBe('');
  });

  test('how much was refused to the chosen replica, and what last', () => {
    const bench = setUp();
    bench.add(replica({ service: 'web' }));
    const refusal = {
      replica: 'shop-web-1',
      service: 'web',
      rule: 'egress',
      protocol: 'tcp',
      to: '192.0.2.9:443',
      count: 1,
      total: 12,
    } as const;
    bench.model.apply({ type: 'refusal', time: NOW, refusal });
    expect(trimmed(drawScreen(bench.model, look(120, 8))).join('\n')).toContain('12 refused: 192.0.2.9:443');
  });

  test('list and logs side by side', () => {
    const bench = setUp();
    fill(bench);
    bench.write('web', 'GET / \u001b[31m500\u001b[0m\u001b[2J');
    bench.write('db', 'ready');
    expect(trimmed(drawScreen(bench.model, look(110, 12)))).toEqual([
      ' shop  2/3 running  1 in trouble: api-1',
      '› ✗ api-1 exit 137 ×3                        │ logs of all services',
      '    out of memory                            │ web-1 | GET / 500',
      '  ● db-1  up 2h                              │ db-1  | ready',
      '  ● web-1 healthy 2m           ▁ 12% 83.9MiB │',
      '    http://127.0.0.1:8080                    │',
      '                                             │',
      '                                             │',
      '                                             │',
      '                                             │',
      ' ? help · : all actions · / search · i why · r restart · e shell · d detach · q quit',
    ]);
  });

  test.each([
    [80, 24],
    [120, 40],
    [40, 8],
    [200, 60],
  ])('at %i×%i it has one row less than the terminal and no row is too wide', (columns, rows) => {
    const bench = setUp();
    fill(bench);
    for (let i = 0; i < 200; i += 1) {
      bench.write('web', `${i} ${'日本語'.repeat(i % 30)}\t${'x'.repeat(i)}`);
    }
    for (const mode of ['normal', 'help', 'quit', 'search'] as const) {
      bench.model.change({ mode, wrap: mode === 'quit' });
      const lines = drawScreen(bench.model, look(columns, rows));
      expect(lines).toHaveLength(rows - 1);
      expect(Math.max(...lines.map(widthOf))).toBeLessThanOrEqual(columns);
    }
  });

  test('below 100 columns there are tabs', () => {
    const bench = setUp();
    fill(bench);
    expect(trimmed(drawScreen(bench.model, look(80, 24))).slice(0, 5)).toEqual([
      ' shop  2/3 running  1 in trouble: api-1',
      ' ✗[api-1] ● db-1  ● web-1',
      ' exit 137 ×3',
      ' out of memory',
      'logs of all services',
    ]);
  });

  test('without Unicode everything is ASCII', () => {
    const bench = setUp();
    fill(bench);
    bench.write('web', 'hello');
    bench.model.logs.mark(NOW);
    for (const columns of [80, 120]) {
      expect(drawScreen(bench.model, look(columns, 24, { unicode: false })).join('')).toMatch(/^[\u0020-\u007e\u001b]*$/);
    }
  });

  test('help lists every key of the table', () => {
    const bench = setUp();
    bench.model.change({ mode: 'help' });
    const text = drawScreen(bench.model, look(120, 50)).join('\n');
    for (const key of KEYS) {
      expect(text).toContain(`${key.label.padEnd(7)} ${key.text}`);
    }
  });

  test('help in two columns where one is too long, but none where its words would be cut; every page says how to leave it', () => {
    const bench = setUp();
    bench.model.change({ mode: 'help' });
    const drawn = (columns: number): string => drawScreen(bench.model, look(columns, 28)).join('\n');
    expect(drawn(120)).toContain('this page');
    expect(drawn(120)).not.toContain('…');
    expect(drawn(80)).toContain('more lines');
    for (const mode of ['help', 'graph', 'why'] as const) {
      bench.model.change({ mode });
      expect(drawn(80)).toMatch(/Esc back · j ↓ k ↑ move$/);
    }
  });

  test('on a narrow screen the question has all its answers; a warning that is too long for the last row is in the log, too', () => {
    const bench = setUp();
    bench.add(replica({ service: 'web' }));
    bench.model.change({ mode: 'quit' });
    expect(drawScreen(bench.model, look(60, 20)).at(-1)).toBe(' Stop the stack?  s stop · d leave it running · Esc stay');
    bench.model.change({ mode: 'normal', wrap: true });
    const message = 'image shop-web was built before its Dockerfile changed: hypr up --build builds it again';
    bench.model.apply({ type: 'warning', time: NOW, message });
    const rows = trimmed(drawScreen(bench.model, look(60, 20)));
    expect(rows.at(-1)).toMatch(/…$/);
    expect(rows.join('').replaceAll(/ {2,}/g, ' ')).toContain('builds it again');
  });

  test('help that is longer than the screen says so, and moves to its end', () => {
    const bench = setUp();
    bench.model.change({ mode: 'help' });
    const small = look(60, 20);
    expect(drawScreen(bench.model, small).join('\n')).toContain('more lines: j ↓ or PgDn');
    bench.model.change({ pageTop: lastPageTop(bench.model, small, small.rows - 3) });
    expect(drawScreen(bench.model, small).join('\n')).toContain('this page');
  });

  test('help at forty columns goes on below where a row is too short, and loses no word', () => {
    const bench = setUp();
    bench.model.change({ mode: 'help' });
    const text = drawScreen(bench.model, look(40, 120)).join('\n');
    expect(text).not.toContain('…');
    expect(text).toContain('   j ↓     next service, or one line\n           down\n');
    for (const key of KEYS) {
      expect(text.replaceAll(/\s+/g, ' ')).toContain(key.text);
    }
  });

  test('no key is bound twice', () => {
    const keys = KEYS.flatMap((binding) => binding.keys);
    expect(new Set(keys).size).toBe(keys.length);
  });
});

/** Waits until the screen that Ink drew satisfies the test; input and React work by turns of the event loop. */
const settle = async (time: Time): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    time.advance(FRAME_MS);
  }
};

describe('keys', () => {
  const start = async () => {
    const bench = setUp();
    fill(bench);
    const app = render(<Dashboard model={bench.model} look={look(110, 20)} effects={bench.effects} />);
    await settle(bench.time);
    // An escape key is told from an escape sequence by what follows, so each press is one write.
    const press = async (...keys: string[]): Promise<string> => {
      for (const key of keys) {
        app.stdin.write(key);
        await settle(bench.time);
      }
      return app.lastFrame() ?? '';
    };
    return { ...bench, press, app };
  };

  test('walking, verbs, leaving', async () => {
    const { press, calls, app } = await start();
    expect(await press('j')).toContain('› ● db-1');
    await press('r', '\u001b[B', 's', 'S', 'K', 'o', 'd');
    expect(calls).toEqual([
      ['verb', 'restart', 'db'],
      ['verb', 'stop', 'web'],
      ['verb', 'start', 'web'],
      ['verb', 'kill', 'web'],
      ['openUrl', 'http://127.0.0.1:8080'],
      ['leave', 'detach'],
    ]);
    app.unmount();
  });

  test('q asks, and only an answer leaves', async () => {
    const { press, calls, app } = await start();
    expect(await press('q')).toContain('Stop the stack?');
    await press('x', 'n');
    expect(calls).toEqual([]);
    await press('q', 's');
    expect(calls).toEqual([['leave', 'stop']]);
    app.unmount();
  });

  test('Ctrl-C and Ctrl-Z are passed on, also while typing', async () => {
    const { press, calls, app } = await start();
    await press('/', 'a', '\u0003', '\u001a');
    expect(calls).toEqual([['interrupt'], ['suspend']]);
    app.unmount();
  });

  test('search moves to the match, filter hides the rest, keys in a burst are all taken', async () => {
    const { press, write, model, app } = await start();
    for (let i = 0; i < 100; i += 1) {
      write('web', i === 20 ? 'the needle' : `line ${i}`);
    }
    expect(await press('/', 'needle', '\r')).toContain('the >[needle]<');
    expect(model.ui.anchor).toBe(21);
    const still = await press('Z');
    expect(still).toContain('paused, ↓ 79 new');
    expect(await press('G&')).toContain('&');
    const filtered = await press('needle', '\r');
    expect(filtered).toContain('the [needle]');
    expect(filtered).not.toContain('line 99');
    const inverse = await press('&', '!needle', '\r');
    expect(inverse).toContain('line 99');
    app.unmount();
  });

  test('a line that was typed faster than it is read is typed, Enter and all, and so is what comes after it', async () => {
    const { press, write, calls, model, app } = await start();
    for (let i = 0; i < 100; i += 1) {
      write('web', i === 20 ? 'the needle' : `line ${i}`);
    }
    expect(await press('/needle\rZ')).toContain('the >[needle]<');
    await press('+2\rr');
    expect(calls.map(([name, first, count]) => [name, name === 'scale' ? count : first])).toEqual([
      ['scale', 2],
      ['verb', 'restart'],
    ]);
    expect(model.ui.mode).toBe('normal');
    app.unmount();
  });

  test('Escape and the key after it are two keys also when they come together', async () => {
    const { press, model, app } = await start();
    await press('&', 'need', '\u001b?');
    expect(model.ui.filter).toBeUndefined();
    expect(model.ui.mode).toBe('help');
    app.unmount();
  });

  test('what is pasted is text for what is being typed, and no keys', async () => {
    const { press, calls, model, app } = await start();
    expect(await press('\u001b[200~Ks\r\u001b[201~')).toContain('not taken for keys');
    await press('/', '\u001b[200~two\nlines\n\u001b[201~');
    expect([model.ui.mode, model.ui.input, calls]).toEqual(['search', 'two lines', []]);
    app.unmount();
  });

  test('space shows several together, 0 all', async () => {
    const { press, write, app } = await start();
    write('web', 'from web');
    write('db', 'from db');
    expect(await press('j')).not.toContain('from web');
    expect(await press(' ', 'j', ' ')).toContain('logs of db-1 + web-1');
    expect(await press('0')).toContain('logs of');
    app.unmount();
  });

  test('copying takes what is seen, without colours', async () => {
    const { press, write, calls, app } = await start();
    write('web', '\u001b[31mred\u001b[0m');
    await press('y');
    expect(calls).toEqual([['copy', 'red']]);
    app.unmount();
  });
});

test('what changes nothing on the screen is not drawn', async () => {
  const bench = setUp();
  fill(bench);
  let drawn = 0;
  const app = render(
    <Profiler id="dashboard" onRender={() => (drawn += 1)}>
      <Dashboard model={bench.model} look={look(110, 12)} effects={bench.effects} />
    </Profiler>,
  );
  const sample = async (cpu: number): Promise<number> => {
    const before = drawn;
    const usage = { ...bench.model.usage.get('shop-web-1'), cpu } as ReplicaUsage;
    bench.model.apply({ type: 'usage', time: bench.time.now, usage });
    bench.time.advance(FRAME_MS);
    await settle(bench.time);
    return drawn - before;
  };
  // The chart of the last samples is full.
  for (let count = 0; count < 5; count += 1) {
    await sample(3);
  }
  expect(await sample(3.2)).toBe(0);
  expect(await sample(80)).toBeGreaterThan(0);
  app.unmount();
});

describe('under a flood', () => {
  test('10,000 lines a second for two seconds: frames keep coming, few and complete', () => {
    const { model, time, write } = setUp();
    let frames = 0;
    let drawn = 0;
    model.subscribe(() => {
      frames += 1;
      drawn += drawScreen(model, look(120, 40)).length;
    });
    for (let ms = 0; ms < 2000; ms += 10) {
      for (let i = 0; i < 100; i += 1) {
        write('web', `line ${ms} ${i}`);
      }
      time.advance(10);
    }
    expect(frames).toBeGreaterThanOrEqual(2000 / FLOOD_FRAME_MS - 2);
    expect(frames).toBeLessThanOrEqual(2000 / FRAME_MS + 1);
    expect(drawn).toBe(frames * 39);
    expect(model.rate).toBe(10_000);
    expect(model.logs.newest).toBe(20_000);
    expect(drawScreen(model, look(120, 40)).join('\n')).toContain('⚡ 10.0k/s');
  });

  test('a ring keeps the last lines of each replica, and a quiet one keeps all of its own', () => {
    const { model, write } = setUp();
    write('db', 'quiet');
    for (let i = 0; i < 25_000; i += 1) {
      write('web', `line ${i}`);
    }
    const lines = [...model.logs.backwards(undefined, model.logs.newest)];
    expect(lines).toHaveLength(10_001);
    expect(lines[0]?.line).toBe('line 24999');
    expect(lines.at(-1)?.line).toBe('quiet');
    expect([...model.logs.forwards(new Set(['shop-db-1']), 0)].map((entry) => entry.line)).toEqual(['quiet']);
  });
});
