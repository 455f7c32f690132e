import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import type { Project } from '../../../compose/model/model.ts';
import type { BuildEvent } from '../../../engine/model/types.ts';
import { fakeContext, fakeProject, run } from '../support/fake-context.ts';
import { log, NOW, replica } from '../support/fake-engine.ts';

describe('parsing and errors', () => {
  test.each([
    ['unknown flag', 'ps --quite', "unknown option '--quite'", 'did you mean --quiet?'],
    ['unknown command', 'pss', "unknown command 'pss'", 'did you mean ps?'],
    ['unknown word', 'pull --policy sometimes', '--policy does not know "sometimes"', 'use one of: missing, always'],
    ['missing value', 'logs --tail', "option '-n, --tail' argument missing", ''],
    ['missing argument', 'exec web', 'hypr exec needs at least 2 arguments', 'usage: hypr exec [OPTIONS] SERVICE COMMAND [ARGS...]'],
    ['unknown mode of progress', '--progress foo ps', '--progress does not know "foo"', 'use one of: auto, tty, plain'],
    ['unknown mode of colours', 'ps --ansi foo', '--ansi does not know "foo"', 'use one of: auto, never, always'],
    ['number of a flag the command does not read', '--parallel x ps', '--parallel wants a whole number, not "x"', ''],
    ['help of what is not there', 'help pss', "unknown command 'pss'", 'did you mean ps?'],
    ['help of what is not there in a group', 'help compose pss', "unknown command 'pss'", 'did you mean ps?'],
    ['number wanted', 'stop -t soon', '--timeout wants a whole number, not "soon"', ''],
    ['unknown service', 'stop wbe', 'no such service: wbe', 'did you mean web?'],
    ['contradiction', 'up --build --no-build', '--build and --no-build cannot be given together', ''],
  ])('%s ends with 1 and says what is wrong', async (_, line, message, hint) => {
    const context = fakeContext();
    expect(await run(context, line.startsWith('pull') ? `compose ${line}` : line)).toBe(1);
    expect(context.stderr.text).toContain(message);
    expect(context.stderr.text).toContain(hint);
    expect(context.stdout.text).toBe('');
  });

  test('global flags count before and after the command', async () => {
    const context = fakeContext();
    await run(context, '-f a.yaml --profile one compose -f b.yaml up -d -f c.yaml --profile two -p shop2 --env-file x.env');
    expect(context.loaded[0]).toMatchObject({
      files: ['a.yaml', 'b.yaml', 'c.yaml'],
      profiles: ['one', 'two'],
      projectName: 'shop2',
      envFiles: ['x.env'],
    });
  });

  test("Go's forms of flags are understood", async () => {
    const context = fakeContext();
    context.fake.replicas = [replica({ service: 'web' })];
    expect(await run(context, 'logs -n=5 --follow=false --timestamps=true web')).toBe(0);
    expect(context.fake.call('logs')?.args[0]).toMatchObject({ tail: 5, follow: false, services: ['web'] });
    expect(await run(context, 'up --build=maybe')).toBe(1);
    expect(context.stderr.text).toContain('--build is true or false, not "maybe"');
  });

  test('arguments after the service belong to the program', async () => {
    const context = fakeContext();
    await run(context, 'exec -T -e A=1 -u app -w /srv web ls -l --all=false -f x');
    expect(context.fake.call('exec')?.args[0]).toMatchObject({
      service: 'web',
      args: ['ls', '-l', '--all=false', '-f', 'x'],
      env: ['A=1'],
      user: 'app',
      workdir: '/srv',
      tty: false,
    });
  });

  test.each([
    ['ingress', 'hypr url'],
    ['serve --port 41000', 'unix socket'],
  ])('hypr %s is not there, and says what is', async (line, instead) => {
    const context = fakeContext();
    expect(await run(context, line)).toBe(1);
    expect(context.stderr.text).toMatch(/is not supported: .*HYPR_UNSUPPORTED/);
    expect(context.stderr.text).toContain(instead);
  });

  test('flags without a meaning are warned about, flags that would mislead are refused', async () => {
    const context = fakeContext();
    expect(await run(context, 'compose build --provenance=false --builder x')).toBe(0);
    expect(context.stderr.text).toContain('warning: --builder has no effect');
    expect(context.stderr.text).not.toContain('--provenance');
    expect(await run(context, 'up --watch -d')).toBe(1);
    expect(context.stderr.text).toContain('--watch and --detach cannot be given together');
    expect(await run(context, 'down --dry-run')).toBe(1);
    expect(context.fake.call('down')).toBeUndefined();
  });

  test.each(['alpha viz'])('%s is refused with the reason', async (line) => {
    const context = fakeContext();
    expect(await run(context, line)).toBe(1);
    expect(context.stderr.text).toMatch(/is not supported: .*HYPR_UNSUPPORTED/);
    expect(context.fake.opened).toBe(0);
  });

  test('--progress json makes errors JSON', async () => {
    const context = fakeContext({ project: new HyprError('COMPOSE_NOT_FOUND', 'no Compose file') });
    expect(await run(context, '--progress json up -d')).toBe(1);
    expect(JSON.parse(context.stderr.text)).toEqual({ error: true, message: 'no Compose file', code: 'COMPOSE_NOT_FOUND' });
  });

  test.each(['--help', 'help', 'compose --help', ''])('hypr %s prints help with examples first', async (line) => {
    const context = fakeContext();
    expect(await run(context, line)).toBe(0);
    expect(context.stdout.text).toContain('Usage:\n');
    expect(context.stderr.text).toBe('');
  });

  test('help of a command leads with examples', async () => {
    const context = fakeContext();
    await run(context, 'up --help');
    const again = fakeContext();
    await run(again, 'help up');
    expect(again.stdout.text).toBe(context.stdout.text);
    expect(context.stdout.text.indexOf('Examples:')).toBeGreaterThan(0);
    expect(context.stdout.text.indexOf('Examples:')).toBeLessThan(context.stdout.text.indexOf('Options:'));
  });

  test('an interrupt ends with 130, and says what goes on', async () => {
    const context = fakeContext();
    context.fake.onUp = async () => {
      context.interrupts.fire();
      context.interrupts.signal.throwIfAborted();
    };
    expect(await run(context, 'up -d')).toBe(130);
    expect(context.fake.closed).toBe(1);
    expect(context.stderr.text).toContain('what was started goes on: hypr ps shows it, hypr down ends it');
  });

  test('an interrupt of create does not speak of anything that was started', async () => {
    const context = fakeContext();
    context.fake.onUp = async () => {
      context.interrupts.fire();
      context.interrupts.signal.throwIfAborted();
    };
    expect(await run(context, 'create')).toBe(130);
    expect(context.stderr.text).toContain('what was created stays: hypr ps -a shows it, hypr down removes it');
    expect(context.stderr.text).not.toContain('started');
  });

  test('a failure after an interrupt is told as it is', async () => {
    const context = fakeContext();
    context.fake.onUp = async () => {
      context.interrupts.fire();
      throw new HyprError('HYPR_DISK_FULL', 'no space for web');
    };
    await run(context, 'up -d');
    expect(context.stderr.text).toContain('no space for web');
    expect(context.stderr.text).not.toContain('what was started goes on');
  });
});

describe('which stack is meant', () => {
  test('-p needs no file', async () => {
    const context = fakeContext({ project: new HyprError('COMPOSE_NOT_FOUND', 'no Compose file') });
    expect(await run(context, '-p other ps')).toBe(0);
    expect(context.loaded).toEqual([]);
  });

  test('COMPOSE_PROJECT_NAME helps when there is no file, and not when the file is broken', async () => {
    const env = { COMPOSE_PROJECT_NAME: 'other' };
    expect(await run(fakeContext({ env, project: new HyprError('COMPOSE_NOT_FOUND', 'none') }), 'compose ps')).toBe(0);
    expect(await run(fakeContext({ env, project: new HyprError('COMPOSE_SYNTAX', 'broken') }), 'compose ps')).toBe(1);
  });

  test('a name that cannot be one is refused', async () => {
    const context = fakeContext();
    expect(await run(context, '-p ../x down')).toBe(1);
    expect(context.stderr.text).toContain('cannot be the name of a stack');
  });
});

describe('ps', () => {
  const replicas = [
    replica({
      service: 'web',
      health: 'healthy',
      command: ['nginx', '-g', 'daemon off;'],
      ports: [{ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 8080, port: 80 }],
      exposed: ['443/tcp'],
      labels: { a: '1' },
    }),
    replica({ service: 'db', state: 'exited', exitCode: 3, finishedAt: NOW - 3000 }),
  ];

  test('table, column for column', async () => {
    const context = fakeContext();
    context.fake.replicas = replicas;
    expect(await run(context, 'compose ps -a')).toBe(0);
    expect(context.stdout.text).toBe(
      [
        'NAME         IMAGE     COMMAND                  SERVICE   CREATED         STATUS                     PORTS',
        'shop-db-1    db:1      "run db"                 db        4 seconds ago   Exited (3) 3 seconds ago   ',
        `shop-web-1   web:1     "nginx -g 'daemon of…"   web       4 seconds ago   Up 2 seconds (healthy)     443/tcp, 127.0.0.1:8080->80/tcp`,
        '',
      ].join('\n'),
    );
  });

  test('the address of a name, where one answers', async () => {
    const context = fakeContext();
    context.fake.replicas = replicas;
    context.fake.urls = new Map(['web', 'db'].map((name) => [name, `https://${name}.shop.hypr/`]));
    await run(context, 'compose ps -a');
    await run(context, 'compose ps -a --format json');
    const lines = context.stdout.text.split('\n');
    expect(lines[0]).toMatch(/PORTS +URL$/);
    expect(lines[1]).not.toContain('https://');
    expect(lines[2]).toMatch(/->80\/tcp +https:\/\/web\.shop\.hypr\/$/);
    expect(lines.slice(3, 5).map((line) => JSON.parse(line).URL)).toEqual(['', 'https://web.shop.hypr/']);
  });

  test('only running ones unless asked', async () => {
    const context = fakeContext();
    context.fake.replicas = replicas;
    await run(context, "compose ps --format '{{.Name}} {{.State}}'");
    await run(context, 'compose ps --status exited --services');
    await run(context, 'compose ps -q');
    expect(context.stdout.text).toBe(`shop-web-1 running\ndb\n${replicas[0]?.id}\n`);
  });

  test('published and exposed ports are in the order of the ports inside', async () => {
    const context = fakeContext();
    context.fake.replicas = replicas.slice(0, 1).map((each) => ({
      ...each,
      ports: [{ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 80, port: 8080 }, ...each.ports],
    }));
    await run(context, "compose ps --format '{{.ID}} {{range .Publishers}}{{.TargetPort}} {{end}}'");
    expect(context.stdout.text).toBe(`${replicas[0]?.id.slice(0, 12)} 80 443 8080 \n`);
  });

  test('psFormat of docker’s settings, unless --format says otherwise', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hypr-ps-'));
    try {
      await writeFile(join(folder, 'config.json'), JSON.stringify({ psFormat: '{{.Service}}!' }));
      const context = fakeContext({ env: { DOCKER_CONFIG: folder } });
      context.fake.replicas = replicas;
      await run(context, 'compose ps');
      await run(context, "compose ps --format '{{.State}}'");
      await writeFile(join(folder, 'config.json'), '{');
      await run(context, 'compose ps -q');
      expect(context.stdout.text).toBe(`web!\nrunning\n${replicas[0]?.id}\n`);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test('json is one object per line with the keys of docker compose, and the address', async () => {
    const context = fakeContext();
    context.fake.replicas = replicas;
    await run(context, 'compose ps -a --format json');
    const rows = context.stdout.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(rows).toHaveLength(2);
    expect(Object.keys(rows[1])).toEqual(
      'Addresses Command CreatedAt ExitCode Health ID Image Labels LocalVolumes Mounts Name Names Networks Ports Project Publishers RunningFor Service Size State Status URL'.split(
        ' ',
      ),
    );
    expect(rows[1]).toMatchObject({ Health: 'healthy', State: 'running', Service: 'web', Labels: 'a=1', Project: 'shop' });
    expect(rows[1].Addresses).toBe('shop_default=192.168.127.3');
    expect(rows[1].Publishers[0]).toEqual({ URL: '127.0.0.1', TargetPort: 80, PublishedPort: 8080, Protocol: 'tcp' });
    expect(rows[0]).toMatchObject({ ExitCode: 3, Publishers: [] });
  });
});

describe('logs', () => {
  test('prefixes line up; escape sequences that steer the terminal are gone', async () => {
    const context = fakeContext();
    context.fake.replicas = [replica({ service: 'web' }), replica({ service: 'database' })];
    context.fake.records = [log('web', 'hello'), log('database', '\u001b]0;title\u0007\u001b[31mred\u001b[2J')];
    expect(await run(context, 'logs')).toBe(0);
    expect(context.stdout.text).toBe('web-1       | hello\ndatabase-1  | \u001b[31mred\u001b[0m\n');
  });

  test('times, no prefix, since', async () => {
    const context = fakeContext();
    context.fake.replicas = [replica({ service: 'web' })];
    context.fake.records = [log('web', 'hello')];
    await run(context, 'logs -t --no-log-prefix --since 10m --until 2026-01-02T03:00:00Z -n 3');
    expect(context.stdout.text).toBe('2026-01-02T03:04:05.000000000Z hello\n');
    expect(context.fake.call('logs')?.args[0]).toMatchObject({ since: NOW - 600_000, until: Date.UTC(2026, 0, 2, 3), tail: 3 });
  });
});

describe('exec', () => {
  test('passes bytes and the exit code on', async () => {
    const context = fakeContext();
    context.fake.exitCode = 7;
    context.fake.execOutput = [
      { stream: 'stdout', data: Buffer.from('out\u001b[2J') },
      { stream: 'stderr', data: Buffer.from('err') },
    ];
    context.stdin.end('input');
    expect(await run(context, 'exec web cat')).toBe(7);
    expect(context.stdout.text).toBe('out\u001b[2J');
    expect(context.stderr.text).toBe('err');
    expect(context.stdin.rawModes).toEqual([]);
    expect(context.fake.call('closeExec')).toBeDefined();
  });

  test('a terminal becomes raw and is given back', async () => {
    const context = fakeContext();
    context.stdin.isTTY = true;
    context.stdout.isTTY = true;
    expect(await run(context, 'exec web sh')).toBe(0);
    expect(context.stdin.rawModes).toEqual([true, false]);
    expect(context.fake.call('exec')?.args[0]).toMatchObject({ tty: true, size: { columns: 80, rows: 24 } });
  });
});

describe('other commands', () => {
  test('up -d passes its flags on', async () => {
    const context = fakeContext();
    expect(await run(context, 'up -d --scale web=3 --force-recreate -t 5 --pull always web')).toBe(0);
    expect(context.fake.call('up')?.args[1]).toMatchObject({
      services: ['web'],
      scale: { web: 3 },
      forceRecreate: true,
      timeout: 5,
      pull: 'always',
    });
    expect(context.loaded[0]?.services).toEqual(['web']);
    expect(context.stdout.text).toBe('');
  });

  test('plain progress goes to stderr, one line per change', async () => {
    const context = fakeContext();
    context.fake.onUp = async (onEvent) => {
      for (const text of ['Creating', 'Creating', 'Created']) {
        onEvent({
          type: 'progress',
          time: NOW,
          progress: { id: 'Container shop-web-1', status: text === 'Created' ? 'done' : 'working', text },
        });
      }
      onEvent({ type: 'warning', time: NOW, message: 'careful' });
    };
    await run(context, 'up -d');
    expect(context.stderr.text).toBe(' Container shop-web-1 Creating\n Container shop-web-1 Created\nwarning: careful\n');
  });

  const builds = (context: ReturnType<typeof fakeContext>): void => {
    const image = (id: string, text: string, parentId?: string) =>
      ({
        type: 'progress',
        time: NOW,
        progress: { id, status: 'working', text, ...(parentId ? { parentId } : {}) },
      }) as const;
    const build = (event: BuildEvent) => ({ type: 'build', time: NOW, service: 'web', event }) as const;
    context.fake.onUp = async (onEvent) => {
      onEvent(image('Image db', 'Pulling'));
      onEvent(image('ab12', 'Downloading', 'Image db'));
      onEvent(image('Image shop-web', 'Building'));
      onEvent(build({ type: 'vertex', id: 1, name: '[build 2/3] RUN make', state: 'started', time: NOW }));
      onEvent(build({ type: 'log', id: 1, stream: 'stdout', text: 'cc a.c\n', time: NOW + 1500 }));
      onEvent(build({ type: 'vertex', id: 1, name: '[build 2/3] RUN make', state: 'done', time: NOW + 2000, duration: 2000 }));
      onEvent(build({ type: 'vertex', id: 2, name: '[3/3] COPY a b', state: 'cached', time: NOW }));
      onEvent(build({ type: 'vertex', id: 3, name: 'one', state: 'started', time: NOW }));
      onEvent(build({ type: 'vertex', id: 4, name: 'beside it', state: 'started', time: NOW }));
      onEvent(build({ type: 'warning', message: 'Rule: odd', file: 'Dockerfile', line: 3 }));
      onEvent(image('Image shop-web', 'Built'));
    };
  };
  const rows = ' Image db Pulling\n ab12 Downloading\n';
  const steps =
    '#1 [web build 2/3] RUN make\n#1 1.500 cc a.c\n#1 DONE 2.0s\n\n#2 [web 3/3] COPY a b\n#2 CACHED\n\n#3 [web] one\n\n#4 [web] beside it\n';
  const warned = '\n 1 warning found:\n - [web] Rule: odd (line 3)\n';

  test.each([
    ['up -d --build', `${rows} Image shop-web Building\n Image shop-web Built\n${warned}`, steps],
    ['create --build', `${rows} Image shop-web Building\n Image shop-web Built\n${warned}`, steps],
    ['up -d --build --quiet-pull', ` Image db Pulling\n Image shop-web Building\n Image shop-web Built\n${warned}`, steps],
    ['up -d --build --quiet-build', `${rows} Image shop-web Building\n Image shop-web Built\n`, ''],
    ['--progress quiet up -d --build', '', ''],
  ])('%s without a terminal shows the steps of builds, as docker compose on stdout', async (line, shown, log) => {
    const context = fakeContext();
    builds(context);
    expect(await run(context, line)).toBe(0);
    expect(context.stderr.text).toBe(shown);
    expect(context.stdout.text).toBe(log);
  });

  test('in the picture of a terminal the steps of builds stand above the rows, and their warnings come after it', async () => {
    const context = fakeContext();
    builds(context);
    await run(context, '--progress tty up -d --build');
    expect(context.stderr.text).toContain(' => [web build 2/3] RUN make');
    expect(context.stderr.text.endsWith(warned)).toBe(true);
  });

  test('dry run prints the plan and starts nothing', async () => {
    const context = fakeContext();
    expect(await run(context, 'up --dry-run')).toBe(0);
    expect(context.stdout.text).toBe('create shop-web-1\n');
    expect(context.fake.call('up')).toBeUndefined();
  });

  test.each([
    ...['up -d', 'create', 'scale web=2', 'compose run web', 'watch', 'compose build'].map((line) => [line, true] as const),
    ...['compose ps', 'down', 'stop', 'compose pull', 'compose push', 'logs', 'compose images'].map((line) => [line, undefined] as const),
  ])('%s loads the model of what may be built: %s', async (line, builds) => {
    const context = fakeContext();
    await run(context, line);
    expect(context.loaded.map((options) => options.builds)).toEqual([builds]);
  });

  test('restart has the whole model, read once: what depends on the service may restart with it', async () => {
    const context = fakeContext();
    await run(context, 'compose restart web');
    expect(context.loaded.map(({ services }) => services)).toEqual([[]]);
  });

  test('verbs', async () => {
    const context = fakeContext();
    await run(context, 'restart -t 3 --no-deps web');
    await run(context, 'kill -s HUP db');
    await run(context, 'pause');
    expect(context.fake.call('restart')?.args[1]).toMatchObject({ timeout: 3, noDeps: true, services: ['web'] });
    expect(context.fake.call('kill')?.args[1]).toMatchObject({ signal: 'HUP', services: ['db'] });
    expect(context.fake.call('pause')?.args[1]).toMatchObject({ services: [] });
    expect(context.fake.closed).toBe(3);
  });

  test('logs takes replicas by name, also those that are gone, and no others', async () => {
    const context = fakeContext();
    context.fake.replicas = [replica({ service: 'web' })];
    context.fake.goneLogs = ['shop-web-run-1f2e'];
    expect(await run(context, 'logs shop-web-run-1f2e web')).toBe(0);
    expect(context.fake.call('logs')?.args[0]).toMatchObject({ services: ['shop-web-run-1f2e', 'web'] });
    expect(await run(context, 'logs shop-web-run-9999')).toBe(1);
    expect(context.stderr.text).toContain('no such service: shop-web-run-9999');
    expect(context.stderr.text).toContain('services are: db, web');
  });

  test('rm asks, and without a terminal insists on --force', async () => {
    const context = fakeContext();
    context.fake.replicas = [replica({ service: 'web', state: 'exited' })];
    expect(await run(context, 'rm')).toBe(1);
    expect(context.fake.call('rm')).toBeUndefined();
    expect(await run(context, 'rm -f')).toBe(0);
    expect(context.fake.call('rm')).toBeDefined();
    context.fake.replicas = [replica({ service: 'web' })];
    await run(context, 'rm -f');
    expect(context.stderr.text).toContain('No stopped containers');
  });

  test.each(['up -d', 'down', 'compose run web ls'])('%s reads COMPOSE_REMOVE_ORPHANS of the .env, too', async (line) => {
    const project = fakeProject({ environment: { COMPOSE_REMOVE_ORPHANS: 'true' } });
    for (const [env, removeOrphans] of [[{}, true] as const, [{ COMPOSE_REMOVE_ORPHANS: '0' }, false] as const]) {
      const context = fakeContext({ project, env });
      await run(context, line);
      expect(context.fake.call(line.split(' ').find((word) => /^(up|down|run)$/.test(word)) ?? '')?.args[1]).toMatchObject({
        removeOrphans,
      });
    }
  });

  test('up --ports auto tells of a port that was moved, and nothing of a range of the file', async () => {
    const web = { image: 'nginx', ports: [{ target: 80, protocol: 'tcp', published: '8080' }] };
    const api = { image: 'api', ports: [{ target: 81, protocol: 'tcp', published: '9000-9010' }] };
    const context = fakeContext({ project: fakeProject({ services: { web, api } as unknown as Project['services'] }) });
    const published = (hostPort: number, port: number) => [{ protocol: 'tcp' as const, hostAddress: '127.0.0.1', hostPort, port }];
    context.fake.replicas = [
      replica({ service: 'web', ports: published(8081, 80) }),
      replica({ service: 'api', ports: published(9003, 81) }),
    ];
    expect(await run(context, 'up -d --ports auto')).toBe(0);
    expect(context.stderr.text.split('\n').filter((line) => line.includes('taken'))).toEqual([
      expect.stringContaining('port 8080 is taken: shop-web-1 is published at 8081 instead'),
    ]);
  });

  test('down -v says on a terminal what is lost', async () => {
    const context = fakeContext({ project: fakeProject({ volumes: { data: { name: 'shop_data' }, ext: { name: 'x', external: true } } }) });
    context.stderr.isTTY = true;
    expect(await run(context, 'down -v --rmi local --remove-orphans')).toBe(0);
    expect(context.stderr.text).toBe('Removing volumes with their data: shop_data\n');
    expect(context.fake.call('down')?.args[1]).toMatchObject({ volumes: true, removeImages: 'local', removeOrphans: true });
  });

  test('port', async () => {
    const context = fakeContext();
    context.fake.replicas = [replica({ service: 'web', ports: [{ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 8080, port: 80 }] })];
    expect(await run(context, 'port web 80')).toBe(0);
    expect(context.stdout.text).toBe('127.0.0.1:8080\n');
    expect(await run(context, 'port web 81')).toBe(1);
    expect(context.stderr.text).toContain('no port 81/tcp for shop-web-1: 127.0.0.1:8080->80/tcp');
  });

  test('url', async () => {
    const context = fakeContext();
    expect(await run(context, 'url')).toBe(0);
    expect(await run(context, 'url web --port 3000 --format json')).toBe(0);
    expect(context.stdout.text).toBe(
      'http://web.shop.localhost:7080/\n{"url":"http://web.shop.localhost:7080/","service":"web","port":3000,"reach":"localhost"}\n',
    );
    expect(context.fake.call('findUrl')?.args[0]).toEqual({ stack: 'shop' });
    expect(await run(context, 'url nothing')).toBe(1);
    expect(context.stderr.text).toContain('no such service: nothing');
    expect(await run(context, 'url --port 70000')).toBe(1);
  });

  test('proxy', async () => {
    const context = fakeContext();
    expect(await run(context, 'proxy status')).toBe(1);
    context.fake.edge = { pid: 7, domain: 'hypr', port: 7081, systemPorts: [], dnsPort: 41003, tls: false, problems: ['7080 is taken'] };
    expect(await run(context, 'proxy status')).toBe(0);
    expect(await run(context, 'proxy status --format json')).toBe(0);
    expect(context.stdout.text).toBe(
      [
        'names are not served: no stack runs',
        'http://SERVICE.STACK.localhost:7081/',
        'index page: http://localhost:7081/',
        'proxy for .hypr: 127.0.0.1:7081, http://localhost:7081/proxy.pac',
        'DNS for .hypr: 127.0.0.1:41003',
        'https: no certificate authority yet; make one with: hypr setup --browser',
        'problem: 7080 is taken',
        'served by process 7',
        `${JSON.stringify(context.fake.edge)}\n`,
      ].join('\n'),
    );
    const serving = fakeContext();
    serving.fake.edge = context.fake.edge;
    expect(await run(serving, 'proxy serve')).toBe(0);
    expect(serving.stdout.text).toContain('served by process 7');
  });

  test('dns', async () => {
    const context = fakeContext();
    expect(await run(context, 'dns status')).toBe(1);
    context.fake.edge = { pid: 7, domain: 'hypr', port: 7080, systemPorts: [], dnsPort: 41003, tls: false, problems: [] };
    const web = { host: 'web.shop', stack: 'shop', service: 'web', state: 'running', address: '127.64.1.2', https: true };
    context.fake.names = {
      domain: 'hypr',
      reachesPrograms: true,
      names: [
        { ...web, health: 'healthy', isBound: true, ports: [{ port: 80, protocol: 'http' }], webPort: 80 },
        { ...web, host: 'shop.example.', isBound: false, ports: [] },
      ],
      problems: ['shop: web.shop is taken'],
    };
    expect(await run(context, 'dns status')).toBe(0);
    expect(await run(context, 'dns serve')).toBe(0);
    expect(context.stdout.text).toBe(
      [
        'DNS for .hypr: not served, because no stack runs',
        'programs of this host do not find the names; once: hypr setup --system',
        'DNS for .hypr: 127.0.0.1:41003, UDP and TCP; try: dig @127.0.0.1 -p 41003 probe.hypr',
        'programs of this host find the names: the system asks here',
        'problem: shop: web.shop is taken',
        'NAME                ADDRESS             STATE               LISTENS ON',
        'web.shop.hypr       127.64.1.2          running (healthy)   80',
        'shop.example        127.0.0.1           running             ',
        'DNS: 127.0.0.1:41003, UDP and TCP',
        '',
      ].join('\n'),
    );
    const json = fakeContext();
    json.fake.names = context.fake.names;
    expect(await run(json, 'dns status --format json')).toBe(1);
    expect(JSON.parse(json.stdout.text)).toMatchObject({
      domain: 'hypr',
      port: null,
      reachesPrograms: true,
      names: [{ host: 'web.shop' }, {}],
    });
  });

  test('wait exits with the code of the service', async () => {
    const context = fakeContext();
    context.fake.exitCode = 143;
    expect(await run(context, 'wait web --down-project')).toBe(143);
    expect(context.fake.call('down')).toBeDefined();
  });

  test('ls', async () => {
    const context = fakeContext();
    await run(context, 'ls');
    await run(context, 'ls --format json --filter name=^bl');
    expect(context.stdout.text).toBe(
      [
        'NAME                STATUS                  CONFIG FILES',
        'blog                exited(1), running(2)   /blog/a.yaml,/blog/b.yaml',
        'shop                running(2)              /shop/compose.yaml',
        '[{"Name":"blog","Status":"exited(1), running(2)","ConfigFiles":"/blog/a.yaml,/blog/b.yaml"}]',
        '',
      ].join('\n'),
    );
  });

  test('config gives the flags on by name and loads no engine', async () => {
    const context = fakeContext();
    expect(await run(context, 'config --format json --no-interpolate --hash=web web')).toBe(0);
    expect(context.configs).toEqual([{ flags: { format: 'json', 'no-interpolate': true, hash: 'web' }, services: ['web'] }]);
    expect(context.stdout.text).toBe('name: shop\n');
    expect(context.fake.opened).toBe(0);
  });

  test('version', async () => {
    const context = fakeContext();
    await run(context, 'version --short');
    await run(context, '--version');
    await run(context, 'compose version');
    await run(context, 'compose version -f json');
    expect(context.stdout.text).toMatch(
      /^(\d+\.\d+\.\d+)\nhypr version \1\nDocker Compose version v5\.\d+\.\d+\+hypr\.\1\n\{"version":"v5\.\d+\.\d+\+hypr\.\1"\}\n$/,
    );
  });

  test('version in the shape of docker version', async () => {
    const context = fakeContext();
    await run(context, "version -f '{{.Server.Version}} {{.Client.Version}} {{.Server.APIVersion}} {{.Client.APIVersion}} {{.Server.Os}}'");
    expect(context.stdout.text).toMatch(/^(28\.\d+\.\d+\+hypr\.\d+\.\d+\.\d+) \1 (1\.\d+) \2 linux\n$/);
    const asJson = fakeContext();
    await run(asJson, 'version --format json');
    expect(JSON.parse(asJson.stdout.text)).toMatchObject({
      version: expect.stringMatching(/^v\d/),
      Client: { ApiVersion: expect.any(String), Context: 'default' },
      Server: { Version: expect.stringMatching(/^28/), Platform: { Name: expect.stringContaining('hypr') } },
    });
    expect(asJson.stdout.text).not.toContain('"APIVersion"');
  });

  test('doctor hides the home folder and fails when something is broken', async () => {
    const context = fakeContext();
    context.fake.checks = [
      { id: 'kvm', title: 'KVM', status: 'warn', detail: 'not usable', fix: 'nothing' },
      { id: 'disk', title: 'Disk', status: 'ok', detail: '/home/ann/.hypr has room' },
    ];
    expect(await run(context, 'doctor')).toBe(0);
    expect(context.stdout.text).toBe('⚠ KVM: not usable\n    fix: nothing\n✔ Disk: ~/.hypr has room\n');
    const rows = [
      { process: 'machine', layer: 'files', holds: true, detail: 'Landlock' },
      { process: 'gateway', layer: 'system calls', holds: false, detail: 'none' },
    ] as const;
    context.fake.checks = [{ id: 'fence', title: 'Fence', status: 'ok', detail: 'holds', rows }];
    context.stdout.text = '';
    expect(await run(context, 'doctor')).toBe(0);
    expect(context.stdout.text).toBe('✔ Fence: holds\n    machine  files         ✔ Landlock\n    gateway  system calls  - none\n');
    context.fake.checks = [{ id: 'x', title: 'X', status: 'fail', detail: '' }];
    expect(await run(context, 'doctor --format json')).toBe(1);
  });
});
