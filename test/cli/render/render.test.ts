import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import type { Progress } from '../../../base/progress.ts';
import { formatError } from '../../../cli/core/print-error.ts';
import { createPaint } from '../../../cli/core/style.ts';
import { Terminal } from '../../../cli/core/terminal.ts';
import { createPlainBuild } from '../../../cli/render/build-plain.ts';
import { createTtyBuild } from '../../../cli/render/build-tty.ts';
import { createJsonRenderer } from '../../../cli/render/json.ts';
import { createTtyRenderer } from '../../../cli/render/tty.ts';
import type { BuildRenderer, ProgressRenderer } from '../../../cli/render/types.ts';
import type { BuildEvent } from '../../../engine/model/types.ts';
import { Capture } from '../support/fake-context.ts';

const ttyOptions = (stream: Capture, clock: { now: number }) => ({
  stream,
  terminal: new Terminal(),
  paint: createPaint(false),
  unicode: true,
  now: () => clock.now,
  title: 'up',
});

/** What a terminal would show in the end: the last picture drawn. */
const lastPicture = (text: string): string[] =>
  (text.split('\u001b[J').at(-1) ?? '')
    .replace(/\u001b\[\?25[hl]/g, '')
    .trimEnd()
    .split('\n');

const pull = (renderer: ProgressRenderer, part: Partial<Progress>): void =>
  renderer.onProgress({ id: 'Image nginx', status: 'working', text: 'Pulling', ...part });

describe('progress on a terminal', () => {
  test('rows with counts, the time at the right edge, one head', () => {
    const stream = new Capture();
    stream.columns = 61;
    const clock = { now: 0 };
    const renderer = createTtyRenderer(ttyOptions(stream, clock));
    pull(renderer, {});
    pull(renderer, { id: 'layer1', parentId: 'Image nginx', current: 5_000_000, total: 10_000_000 });
    pull(renderer, { id: 'layer2', parentId: 'Image nginx', current: 1_000_000, total: 10_000_000 });
    renderer.onProgress({ id: 'Network shop_default', status: 'done', text: 'Created' });
    clock.now = 2040;
    renderer.printAbove(() => {});
    vi.useFakeTimers();
    renderer.close();
    vi.useRealTimers();
    expect(lastPicture(stream.text).map((line) => line.replace(/[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]/, '*'))).toEqual([
      '[+] up 1/2',
      ' - Image nginx          Pulling 6MB/20MB                2.0s',
      ' ✔ Network shop_default Created                         0.0s',
    ]);
  });

  test('is never taller than the screen, and says how much is left out', () => {
    vi.useFakeTimers();
    const stream = new Capture();
    stream.rows = 10;
    const renderer = createTtyRenderer(ttyOptions(stream, { now: 0 }));
    for (let i = 0; i < 30; i += 1) {
      pull(renderer, { id: `Image ${i}`, status: i < 20 ? 'done' : 'working' });
    }
    vi.advanceTimersByTime(100);
    const picture = lastPicture(stream.text);
    expect(picture).toHaveLength(9);
    expect(picture[0]).toBe('[+] up 20/30');
    expect(picture[1]).toContain('Image 20');
    expect(picture.at(-1)).toBe(' ... 23 more');
    renderer.close();
    expect(lastPicture(stream.text)).toHaveLength(31);
    vi.useRealTimers();
  });

  test('redraws ten times a second, however much happens, and stops when closed', () => {
    vi.useFakeTimers();
    const stream = new Capture();
    const renderer = createTtyRenderer(ttyOptions(stream, { now: 0 }));
    for (let i = 0; i < 1000; i += 1) {
      pull(renderer, { current: i, total: 1000 });
      vi.advanceTimersByTime(1);
    }
    expect(stream.text.split('[+]').length - 1).toBe(11);
    renderer.close();
    renderer.close();
    vi.advanceTimersByTime(1000);
    expect(stream.text.split('[+]').length - 1).toBe(12);
    expect(stream.text.endsWith('\u001b[?25h')).toBe(true);
    vi.useRealTimers();
  });

  test('the last picture stays when lines follow it', () => {
    const stream = new Capture();
    const renderer = createTtyRenderer(ttyOptions(stream, { now: 0 }));
    pull(renderer, { status: 'done', text: 'Pulled' });
    renderer.close();
    const before = stream.text;
    renderer.printAbove(() => stream.write('a line\n'));
    expect(stream.text).toBe(`${before}a line\n`);
  });

  test('names from registries cannot steer the terminal', () => {
    const stream = new Capture();
    const renderer = createTtyRenderer(ttyOptions(stream, { now: 0 }));
    pull(renderer, { id: 'Image \u001b]0;x\u0007evil\u001b[5A', details: 'a\nb' });
    renderer.close();
    expect(stream.text).not.toContain('\u001b[5A');
    expect(stream.text).not.toContain('\u001b]');
    expect(lastPicture(stream.text)).toHaveLength(2);
  });
});

test('json has the keys of docker compose', () => {
  const stream = new Capture();
  const renderer = createJsonRenderer(stream);
  pull(renderer, { parentId: 'p', details: 'd', current: 1, total: 4 });
  pull(renderer, { status: 'done', text: 'Pulled' });
  expect(
    stream.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toEqual([
    { id: 'Image nginx', parent_id: 'p', status: 'Working', text: 'Pulling', details: 'd', current: 1, total: 4, percent: 25 },
    { id: 'Image nginx', status: 'Done', text: 'Pulled' },
  ]);
});

const buildEvents: ReadonlyArray<readonly [string, BuildEvent]> = [
  ['web', { type: 'vertex', id: 1, name: '[1/2] FROM debian', state: 'cached', time: 0 }],
  ['web', { type: 'vertex', id: 2, name: '[2/2] RUN make', state: 'started', time: 0 }],
  ['db', { type: 'vertex', id: 1, name: '[1/1] RUN true', state: 'started', time: 100 }],
  ['web', { type: 'log', id: 2, stream: 'stdout', text: 'one\ntwo\u001b[2J\n', time: 412 }],
  ['db', { type: 'vertex', id: 1, name: '[1/1] RUN true', state: 'done', time: 1200, duration: 1100 }],
  ['web', { type: 'warning', message: 'odd', file: 'Dockerfile', line: 3 }],
  ['web', { type: 'vertex', id: 2, name: '[2/2] RUN make', state: 'error', time: 3100, error: 'exit code 2' }],
];

const plainBuild = (events: typeof buildEvents): { stream: Capture; renderer: BuildRenderer } => {
  const stream = new Capture();
  const renderer = createPlainBuild(stream);
  for (const [service, event] of events) {
    renderer.onEvent(service, event);
  }
  return { stream, renderer };
};

test('plain build progress speaks as BuildKit does; of steps side by side one after the other', () => {
  const { stream, renderer } = plainBuild(buildEvents);
  renderer.close();
  expect(stream.text).toBe(
    [
      '#1 [web 1/2] FROM debian',
      '#1 CACHED',
      '',
      '#2 [web 2/2] RUN make',
      '#2 0.412 one',
      '#2 0.412 two',
      'WARN: odd (Dockerfile:3)',
      '#2 ERROR: exit code 2',
      '',
      '#3 [db 1/1] RUN true',
      '#3 DONE 1.1s',
      '',
    ].join('\n'),
  );
});

test('a step that does not end gives the others a turn after a second', () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const { stream, renderer } = plainBuild(buildEvents.slice(1, 4));
  expect(stream.text).toBe('#1 [web 2/2] RUN make\n#1 0.412 one\n#1 0.412 two\n');
  vi.advanceTimersByTime(1000);
  renderer.onEvent('web', { type: 'log', id: 2, stream: 'stdout', text: 'three\n', time: 2000 });
  renderer.onEvent('', { type: 'vertex', id: 1, name: 'exporting to image', state: 'started', time: 2000 });
  renderer.onEvent('db', { type: 'vertex', id: 1, name: '[1/1] RUN true', state: 'done', time: 2000, duration: 1900 });
  expect(stream.text.slice(stream.text.indexOf('\n\n'))).toBe(
    '\n\n#2 [db 1/1] RUN true\n#2 DONE 1.9s\n\n#1 ...\n#1 2.000 three\n\n#3 exporting to image\n',
  );
  renderer.onEvent('db', { type: 'vertex', id: 2, name: 'exporting to image', state: 'cached', time: 2000 });
  renderer.close();
  expect(stream.text).toMatch(/#3 exporting to image\n\n#4 \[db\] exporting to image\n#4 CACHED\n$/);
});

test('the picture of a build: steps, times, and the output of the one that failed', () => {
  const stream = new Capture();
  stream.columns = 51;
  const clock = { now: 0 };
  const renderer = createTtyBuild(ttyOptions(stream, clock));
  clock.now = 3100;
  for (const [service, event] of buildEvents) {
    renderer.onEvent(service, event);
  }
  renderer.close();
  expect(lastPicture(stream.text)).toEqual([
    'WARN: odd (Dockerfile:3)',
    '[+] Building 3.1s (3/3) FINISHED',
    ' => CACHED [web 1/2] FROM debian              0.0s',
    ' => ERROR [web 2/2] RUN make                  3.1s',
    ' => [db 1/1] RUN true                         1.1s',
    '------',
    ' > [web 2/2] RUN make:',
    'one',
    'two',
    '------',
  ]);
});

describe('errors', () => {
  const style = { color: false, json: false, unicode: true, columns: 80 };

  test('what, where, who, what to do', () => {
    const error = new HyprError('NET_PORT_IN_USE', 'Port 8080 is already in use', {
      details: ['service web wants 127.0.0.1:8080 (compose.yaml:14)', 'node (pid 41233, vite) is listening on it'],
      where: { file: 'compose.yaml', line: 14 },
      hint: 'stop that process, or publish another port: "8081:80"',
    });
    expect(formatError(error, style)).toBe(
      [
        '✗ Port 8080 is already in use                                    NET_PORT_IN_USE',
        '  service web wants 127.0.0.1:8080 (compose.yaml:14)',
        '  node (pid 41233, vite) is listening on it',
        '  fix: stop that process, or publish another port: "8081:80"',
        '',
      ].join('\n'),
    );
  });

  test('on a narrow terminal words stay whole, and the code is in a line of its own where it does not fit', () => {
    const error = new HyprError('COMPOSE_NOT_FOUND', 'no Compose file in /tmp/shop or a folder above it', {
      hint: 'write a compose.yaml, or name a file with -f',
    });
    expect(formatError(error, { ...style, columns: 40, folds: true })).toBe(
      [
        '✗ no Compose file in /tmp/shop or a',
        '  folder above it      COMPOSE_NOT_FOUND',
        '  fix: write a compose.yaml, or name a',
        '       file with -f',
        '',
      ].join('\n'),
    );
    expect(formatError(error, { ...style, columns: 53, folds: true })).toMatch(/above it\n {2}COMPOSE_NOT_FOUND\n/);
  });

  test('details are folded at words, too, each as far in as it begins', () => {
    const error = new HyprError('IMAGE_NOT_FOUND', 'x:1 does not exist', {
      details: ['the registry cannot be reached: ENOTFOUND', '    2 | RUN a'],
    });
    expect(formatError(error, { ...style, columns: 34, folds: true })).toBe(
      ['✗ x:1 does not exist', '  IMAGE_NOT_FOUND', '  the registry cannot be reached:', '    ENOTFOUND', '      2 | RUN a', ''].join('\n'),
    );
  });

  test('the place is shown when nothing else shows it', () => {
    const error = new HyprError('COMPOSE_INVALID', 'services.web.image must be a string', {
      where: { file: 'a.yaml', line: 3, column: 5 },
    });
    expect(formatError(error, style)).toContain('\n  at a.yaml:3:5\n');
  });

  test('a stack is for mistakes of ours only', () => {
    expect(formatError(new HyprError('STACK_BUSY', 'busy'), style)).not.toMatch(/^\s+at .*:\d+/m);
    const bug = formatError(new TypeError('x is undefined'), style);
    expect(bug).toMatch(/^ {2}\s*at .*render\.test\.ts:\d+/m);
    expect(bug).toContain('HYPR_INTERNAL');
    expect(bug).toContain('please report it');
  });

  test('what failed together is listed; nothing in it steers the terminal', () => {
    const all = new AggregateError([new HyprError('IMAGE_NOT_FOUND', 'no image a\u001b[2J'), new Error('b')], 'two pulls failed');
    const text = formatError(new HyprError('REGISTRY_ERROR', 'two pulls failed', { cause: all }), style);
    expect(text).toContain('  - no image a\n  - b\n');
    expect(text).not.toContain('\u001b');
  });
});
