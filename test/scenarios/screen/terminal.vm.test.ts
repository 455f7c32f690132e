import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { hypr, hyprBin } from '../../support/cli.ts';
import { missingTmux, Tmux } from '../../support/clients/tmux.ts';
import { needs } from '../../support/needs.ts';
import { TestStack } from '../../support/stack.ts';
import { steady } from './steady.ts';

/*
 * The program as built, on a real terminal (tmux), over real machines: what a person does with the dashboard in one sitting. Each
 * step is a test and goes on where the one before ended, and waits for what the screen shows, however long that takes. The
 * screens are compared with the files in screens/, without what changes from run to run (steady.ts); to write one anew, remove it
 * and run `vitest -u`.
 */

const COMPOSE = `
services:
  cache:
    image: busybox
    command: sleep 100000
    healthcheck: { test: 'echo "not ready"; exit 1', interval: 1s, retries: 1 }
  db:
    image: busybox
    command: sh -c 'for i in $$(seq 1 60); do echo "row $$i"; done; touch /tmp/ready; sleep 100000'
    healthcheck: { test: test -e /tmp/ready, interval: 1s, retries: 60 }
    volumes: ["data:/data"]
  web:
    build: ./web
    depends_on: { db: { condition: service_healthy } }
    develop: { watch: [{ path: ./web/www, action: sync, target: /www }] }
  worker:
    image: busybox
    restart: always
    command: sh -c 'echo "no queue" >&2; sleep 1; exit 3'
volumes: { data: {} }
`;
/** Other than in any run before, so that it is built also in a home that stayed. */
const DOCKERFILE = `FROM busybox
ENV RUN_OF=${Date.now()}
COPY www /www
RUN for i in 1 2 3; do echo "compiling part $i"; sleep 1; done
CMD ["sh", "-c", "echo listening; echo 'ERROR: no template' >&2; exec sleep 100000"]
`;
/** The only child of a process: what the shell runs. */
const childOf = (pid: number): number => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());

/** Machines are emulated, and a run of all tests is busy. */
const LONG = 150_000;
/** How long a screen is the same before it is taken for a new file. */
const SETTLED_MS = 2_000;

needs(missingTmux()).describe('one sitting at the dashboard', () => {
  const stack = new TestStack('shop');
  let terminal: Tmux;
  beforeAll(async () => {
    await stack.write({ 'compose.yaml': COMPOSE, 'web/Dockerfile': DOCKERFILE, 'web/www/index.html': 'one' });
    await hypr(['rmi', '-f', 'shop-web'], { env: stack.env });
    // The page of volumes begins with the first of this home, which other tests have left theirs in.
    await hypr(['volume', 'prune', '-a', '-f'], { env: stack.env });
    terminal = await Tmux.open({ columns: 120, rows: 24, cwd: stack.dir, env: stack.env });
  });
  afterAll(async () => {
    await terminal?.close();
    await stack.close();
  });

  let isBroken = false;
  beforeEach(() => {
    if (isBroken) {
      throw new Error('a step before this one failed, and the screen is not where this one begins');
    }
  });
  afterEach(({ task }) => {
    isBroken ||= task.result?.state === 'fail';
  });

  /** Ends before its test does, so that what the screen shows is told. */
  const until = (wanted: string | RegExp): Promise<string[]> => terminal.until(wanted, LONG - 30_000);
  const untilGone = (wanted: string): Promise<unknown> =>
    expect.poll(async () => (await terminal.screen()).join('\n'), { timeout: LONG }).not.toContain(wanted);
  /** Until the shell waits for a line: what is typed earlier, a program that ends may have taken. */
  const prompt = (): Promise<string[]> => until(/(?:^|\n)\$\s*$/);
  const up = (before = ''): Promise<void> => terminal.line(`clear; ${before}${hyprBin} up`);
  const leave = (): Promise<void> => terminal.key('Escape');

  const shown = async (): Promise<string> =>
    `${steady(await terminal.screen())
      .join('\n')
      .trimEnd()}\n`;
  /** Waits until the screen is that of the file; what it is at last is compared with it. */
  const golden = async (name: string): Promise<void> => {
    const path = `screens/${name}.txt`;
    const file = join(import.meta.dirname, path);
    const wanted = existsSync(file) ? readFileSync(file, 'utf8') : undefined;
    const end = Date.now() + (wanted === undefined ? SETTLED_MS : LONG / 2);
    while ((await shown()) !== wanted && Date.now() < end) {
      await sleep(200);
    }
    await expect(await shown()).toMatchFileSnapshot(path);
  };

  test(
    'first up: the whole plan at once, the steps of the build with their output, what waits for what and how long',
    async () => {
      await up();
      await terminal.drawn('0/4 running', LONG);
      await until(/cache-1.*\n?[\s\S]*db-1[\s\S]*web-1[\s\S]*worker-1/);
      await terminal.drawn(/web-1 +(?:building|.*RUN for i in)/, LONG);
      await terminal.drawn('compiling part 3', LONG);
      await terminal.drawn(/waiting \d+s for \S/, LONG);
      await until(/web-1 +up \d+/);
    },
    2 * LONG,
  );

  test(
    'a crash loop keeps its exit code, an unhealthy service its reason; both are counted as trouble',
    async () => {
      await until(/worker-1 +(restarting|up \S+) exit 3 ×[2-9]/);
      const rows = (await until('in trouble: cache-1, worker-1')).join('\n');
      expect(rows).toMatch(/cache-1 +unhealthy/);
      expect(rows).toContain('health check: not ready');
      await until('exited with code 3 (restarting)');
    },
    LONG,
  );

  test(
    'moving shows the logs of one service; search counts, filter filters, and the words of an error stand out',
    async () => {
      await terminal.type('j');
      await until('logs of db-1');
      await until('row 60');
      await golden('one-service');
      await terminal.line('/row 5');
      await until('/row 5 1/11');
      await terminal.type('n');
      await until('/row 5 2/11');
      await leave();
      await terminal.line('&!row 1');
      await until('without "row 1"');
      await golden('filter');
      await leave();
      await terminal.type('g');
      await until(/\brow 1$/m);
      await golden('first-line');
      await terminal.type('Gj');
      const web = (await until('ERROR: no template')).join('\n');
      expect(web).toContain('listening');
      const colours = (await terminal.screen({ colours: true })).find((row) => row.includes('no template')) ?? '';
      expect(colours).toContain('\u001b[31m');
    },
    LONG,
  );

  test(
    'the pages: why, graph, palette, help, volumes',
    async () => {
      await terminal.type('i');
      await until('its last start: booted in');
      await leave();
      await terminal.type('x');
      await until('critical path: db');
      await golden('graph');
      await leave();
      await terminal.type(':wrap');
      await until(/wrap long lines[\s\S]*:wrap/);
      await leave();
      await terminal.type('?');
      await until('more lines: j ↓ or PgDn');
      await terminal.type('jjj');
      await until('this page');
      await leave();
      await terminal.type('V');
      await until('shop_data');
      await terminal.type('D');
      await until('shop_data stays: shop-db-1 uses it');
      await leave();
      await until('logs of web-1');
    },
    LONG,
  );

  test(
    'a shell in the service has the terminal, and gives it back',
    async () => {
      await terminal.type('e');
      await until('a shell in shop-web-1; exit comes back');
      await until(/^\/ # *$/m);
      await terminal.line('cat /www/index.html; echo $((6 * 7))');
      await until('one42');
      await terminal.line('exit 5');
      await until('the shell in web ended with 5');
      // In one piece: what is behind the key is for the shell.
      await terminal.type('eecho early $((6 * 7)); exit 6\r');
      await until('the shell in web ended with 6');
      await terminal.drawn(/^early 42$/m);
    },
    LONG,
  );

  test(
    'every size has its layout, and none is garbage: 200×60, 60×20, 30×8, and back',
    async () => {
      // The last row is that of the new size: what was drawn for the old one is cut, or leaves rows below it empty.
      const resized = async (columns: number, rows: number, wanted: RegExp): Promise<void> => {
        await terminal.resize(columns, rows);
        const screen = await until(wanted);
        expect(screen.filter((row) => [...row].length > columns)).toEqual([]);
      };
      await terminal.type('k');
      await until('logs of db-1');
      await resized(200, 60, /│ logs of db-1[\s\S]*(\n.*){56}\n \? help .*q quit/);
      await resized(60, 20, /2 in trouble[\s\S]*\[db-1\][\s\S]*\n \? help/);
      await golden('narrow');
      await resized(30, 8, /too small: 30×8/);
      await golden('too-small');
      await resized(120, 24, /2 in trouble: cache-1, worker-1[\s\S]*\n \? help .*q quit/);
      await terminal.type('j');
      await until('logs of web-1');
    },
    LONG,
  );

  test(
    'scale makes another replica, and takes it away',
    async () => {
      await terminal.type('+');
      await until('how many replicas of web: ');
      await terminal.line('2');
      await until(/web-2 +up/);
      // As fast as it can be typed: in one piece.
      await terminal.line('+1');
      await untilGone('web-2');
      await expect.poll(async () => (await stack.ps()).filter(({ Service }) => Service === 'web').length, { timeout: LONG }).toBe(1);
    },
    2 * LONG,
  );

  test(
    'w watches files: an edit is in the machine',
    async () => {
      await terminal.type('w');
      await until('watching');
      await stack.write({ 'web/www/index.html': 'two' });
      await expect
        .poll(async () => (await stack.run(['exec', '-T', 'web', 'cat', '/www/index.html'])).stdout, { timeout: LONG, interval: 1000 })
        .toBe('two');
      await terminal.type('w');
      await expect.poll(async () => (await terminal.screen())[0], { timeout: LONG }).not.toContain('watching');
    },
    2 * LONG,
  );

  test(
    'd leaves, says how each service is and what to type next; reattached, the history is there to the first line',
    async () => {
      await terminal.type('d');
      await until('shop goes on without the dashboard:');
      await prompt();
      await up();
      await until(/web-1 +up/);
      await terminal.type('j');
      await until('logs of db-1');
      await terminal.type('g');
      await until(/\brow 1$/m);
    },
    LONG,
  );

  test(
    'after kill -9 the shell is sane: what is typed is seen and done',
    async () => {
      const pid = childOf(await terminal.shell());
      expect(pid).toBeGreaterThan(1);
      process.kill(pid, 'SIGKILL');
      await until('Killed');
      await terminal.line('stty -a | grep -o -e " echo " -e " icanon "; clear; echo $((40 + 2))');
      await until(/^42$/m);
    },
    LONG,
  );

  test(
    'what is typed while it closes is for the shell',
    async () => {
      await up();
      await until(/web-1 +up/);
      await terminal.type('d');
      await terminal.normalScreen(LONG);
      await terminal.line('echo typed early $((40 + 2))');
      await until('typed early 42');
      await prompt();
    },
    LONG,
  );

  test.each([
    ['NO_COLOR=1', 'no-color'],
    ['LANG=C LC_ALL=C', 'ascii'],
  ])(
    '%s: the same without colours, or without signs that it lacks',
    async (variables, name) => {
      await up(`${variables} `);
      await until(/web-1 +up/);
      const colours = (await terminal.screen({ colours: true })).join('\n');
      if (name === 'no-color') {
        expect(colours).not.toMatch(/\u001b\[3[0-7]m/);
      } else {
        expect(colours).toMatch(/^[\u0020-\u007e\u001b\n]*$/);
      }
      await terminal.type('d');
      await until('goes on without the dashboard');
      await prompt();
    },
    LONG,
  );

  test(
    'INK_SCREEN_READER: what is told stays on the normal screen, and keys do what they do',
    async () => {
      await up('INK_SCREEN_READER=true ');
      await until(/web-1: up \d+/);
      await terminal.type('j');
      await until('db-1: healthy');
      await terminal.type('i');
      await until(/its last start: booted in[\s\S]*Escape goes back/);
      await leave();
      await terminal.type('/');
      await until('search for:');
      await terminal.line('row 5');
      await until(/match 1 of 11\nrow 59/);
      await terminal.type('d');
      await until('goes on without the dashboard');
      await prompt();
    },
    LONG,
  );

  test(
    'd while it comes up: it goes on as lines, to its end',
    async () => {
      await terminal.line(`clear; ${hyprBin} down; ${hyprBin} up`);
      await until(/web-1 +waiting \d+s for db/);
      await terminal.type('d');
      const rows = (await until('shop goes on without the dashboard:')).join('\n');
      expect(rows).toContain('up goes on here; Ctrl-C calls it off');
      expect(rows).toMatch(/Container shop-web-1 +Started/);
      await prompt();
      expect((await stack.ps()).find(({ Service }) => Service === 'web')?.State).toBe('running');
    },
    2 * LONG,
  );

  test(
    'TERM=dumb: lines, and no screen',
    async () => {
      await up('TERM=dumb ');
      await until('Attaching to');
      await terminal.key('C-c');
      await until('Gracefully Stopping');
      await prompt();
    },
    2 * LONG,
  );
});
