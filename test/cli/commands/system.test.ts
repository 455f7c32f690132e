import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { showUsage } from '../../../cli/commands/system-usage.ts';
import type { ReplicaState } from '../../../engine/model/events.ts';
import type { Image, ReplicaDetail } from '../../../engine/model/types.ts';
import { fakeContext, run } from '../support/fake-context.ts';
import { NOW, replica } from '../support/fake-engine.ts';

const machineOf = (state: ReplicaState) => ({ stack: 'shop', status: replica({ service: 'web', state }) }) as ReplicaDetail;

describe('system', () => {
  test('df as docker prints it', async () => {
    const context = fakeContext();
    expect(await run(context, 'system df')).toBe(0);
    expect(context.stdout.text).toBe(
      [
        'TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE',
        'Images          3         1         3MB       1MB (33%)',
        'Containers      1         1         0B        0B',
        'Local Volumes   0         0         0B        0B',
        'Build Cache     7         0         5kB       5kB',
        'Templates       4         2         400MB     100MB (25%)',
        '',
      ].join('\n'),
    );
  });

  describe('df -v', () => {
    const hour = 3_600_000;
    const open = () => {
      const context = fakeContext();
      const now = context.now();
      const image = {
        id: `sha256:${'ab'.repeat(32)}`,
        references: ['docker.io/library/app:1', 'docker.io/library/app:2'],
        created: now - 2 * hour,
      };
      context.fake.space = {
        images: [{ image: image as unknown as Image, size: 5_000_000, shared: 2_000_000, containers: 1 }],
        containers: [{ replica: { ...machineOf('running'), stack: 'shop' }, size: 4096 }],
        volumes: [{ name: 'shop_data', links: 2, size: 7000 }],
        builds: [
          { id: 'cd'.repeat(32), type: 'regular', size: 1000, created: now - hour, used: now - 60_000 },
          { id: 'ef'.repeat(32), type: 'exec.cachemount', size: 2000, created: undefined, used: now },
        ],
      };
      return context;
    };

    test('tells of each thing by itself, in the words and columns of docker', async () => {
      const context = open();
      expect(await run(context, 'system df -v')).toBe(0);
      expect(context.stdout.text).toMatchInlineSnapshot(`
        "Images space usage:

        REPOSITORY   TAG       IMAGE ID       CREATED       SIZE      SHARED SIZE   UNIQUE SIZE   CONTAINERS
        app          1         abababababab   2 hours ago   5MB       2MB           3MB           1
        app          2         abababababab   2 hours ago   5MB       2MB           3MB           1

        Containers space usage:

        CONTAINER ID   IMAGE     COMMAND     LOCAL VOLUMES   SIZE      CREATED         STATUS         NAMES
        0123456789ab   web:1     "run web"   0               4.1kB     4 seconds ago   Up 2 seconds   shop-web-1

        Local Volumes space usage:

        VOLUME NAME   LINKS     SIZE
        shop_data     2         7kB

        Build cache usage: 3kB

        CACHE ID       CACHE TYPE        SIZE      CREATED             LAST USED                USAGE     SHARED
        cdcdcdcdcdcd   regular           1kB       About an hour ago   About a minute ago                 false
        efefefefefef   exec.cachemount   2kB                           Less than a second ago             false
        "
      `);
    });

    test('as one object of JSON, or by a template', async () => {
      const context = open();
      await run(context, 'system df -v --format json');
      const value = JSON.parse(context.stdout.text);
      expect(Object.keys(value)).toEqual(['Images', 'Containers', 'Volumes', 'BuildCache']);
      expect(value.Images[1]).toMatchObject({ Tag: '2', UniqueSize: '3MB', SharedSize: '2MB', Containers: '1' });
      const template = { now: context.now(), format: '{{range .Volumes}}{{.Name}}={{.Links}};{{end}}' };
      expect(showUsage(context.fake.space, template)).toBe('shop_data=2;\n');
    });
  });

  test.each([
    ['system prune -f', { images: 'dangling', buildsOlderThan: 0, volumes: false, toolchain: true }],
    ['system prune -f -a --volumes', { images: 'all', buildsOlderThan: 0, volumes: true, toolchain: true }],
    ['image prune -f', { images: 'dangling', buildsOlderThan: undefined, volumes: false, toolchain: false }],
    ['image prune -a -f', { images: 'all', buildsOlderThan: undefined, volumes: false, toolchain: false }],
    ['builder prune -f --filter until=1h30m', { images: 'none', buildsOlderThan: 5_400_000, volumes: false, toolchain: false }],
  ])('%s', async (line, options) => {
    const context = fakeContext();
    expect(await run(context, line)).toBe(0);
    expect(context.fake.call('prune')?.args).toEqual([options]);
    const images = 'Deleted Images:\nuntagged: app:1\ndeleted: sha256:1\n\n';
    expect(context.stdout.text).toBe(
      options.volumes ? `Deleted Volumes:\nf00d\n\n${images}Total reclaimed space: 2.2MB\n` : `${images}Total reclaimed space: 1.2MB\n`,
    );
  });

  test.each([
    ['image prune -af --filter label=tier=web', ['sha256:b']],
    ['image prune -af --filter label!=tier=web', ['sha256:a', 'sha256:c']],
    ['image prune -af --filter label!=tier=web --filter label!=old', ['sha256:a']],
    ['image prune -f --filter dangling=false --filter until=2020-01-01T00:00:00Z', ['sha256:c']],
    ['system prune -f --filter until=1577836800', ['sha256:c']],
  ])('%s takes only what matches', async (line, imageIds) => {
    const context = fakeContext();
    const image = (id: string, created: number, Labels: Record<string, string>) =>
      ({ id, created, config: { Labels } }) as unknown as Image;
    context.fake.images = [image('sha256:a', NOW, {}), image('sha256:b', NOW, { tier: 'web' }), image('sha256:c', 0, { old: '1' })];
    expect(await run(context, line)).toBe(0);
    expect(context.fake.call('prune')?.args).toMatchObject([{ imageIds }]);
  });

  test('what has labels alone keeps the build cache, and a filter that is not known removes nothing', async () => {
    const context = fakeContext();
    expect(await run(context, 'system prune -f --volumes --filter label=x')).toBe(0);
    expect(context.fake.call('prune')?.args).toMatchObject([{ buildsOlderThan: undefined, volumes: false, toolchain: false }]);
    for (const [line, why] of [
      ['image prune -f --filter nonsense=1', "invalid filter 'nonsense'"],
      ['system prune -f --filter dangling=true', "invalid filter 'dangling'"],
      ['system prune -f --volumes --filter until=1h', 'The "until" filter is not supported with "--volumes"'],
      ['volume prune -f --filter until=1h', "invalid filter 'until'"],
      ['image prune -f --filter until=1h --filter until=2h', 'more than one until filter'],
      ['builder prune -f --filter until=1h --filter until=2h', 'more than one until filter'],
      ['container prune -f --filter until=1h --filter until=2h', 'more than one until filter'],
      ['container prune -f --filter until=soon', 'does not understand "soon"'],
    ] as const) {
      const made = fakeContext();
      expect(await run(made, line)).toBe(1);
      expect(made.stderr.text).toContain(why);
      expect(made.fake.call('prune')).toBeUndefined();
    }
  });

  test('nothing is removed without a yes', async () => {
    const context = fakeContext();
    expect(await run(context, 'system prune')).toBe(1);
    expect(context.stderr.text).toContain('hypr system prune --force');
    expect(context.fake.call('prune')).toBeUndefined();
    expect(await run(fakeContext(), 'builder prune -f --filter age=1')).toBe(1);
  });

  test('info counts machines and images, in the shape of docker info', async () => {
    const context = fakeContext();
    context.fake.machines = (['running', 'paused', 'exited', 'created'] as const).map((state) => machineOf(state));
    const asked =
      '{{.Containers}} {{.ContainersRunning}} {{.ContainersPaused}} {{.ContainersStopped}} {{.Images}} {{.LoggingDriver}} {{.OSType}} {{.Swarm.LocalNodeState}} {{.Warnings}}';
    expect(await run(context, `info -f '${asked}'`)).toBe(0);
    expect(context.stdout.text).toBe('4 1 1 2 0 json-file linux inactive []\n');
    const asJson = fakeContext();
    expect(await run(asJson, "system info --format '{{json .}}'")).toBe(0);
    const info = JSON.parse(asJson.stdout.text);
    expect(info).toMatchObject({
      NCPU: expect.any(Number),
      Name: hostname(),
      Driver: 'erofs',
      ServerVersion: expect.stringMatching(/\+hypr\./),
    });
    expect(info.Architecture).toMatch(/^(x86_64|aarch64)$/);
    expect(JSON.stringify(info.DriverStatus)).not.toContain('containerd');
    const plain = fakeContext();
    expect(await run(plain, 'info')).toBe(0);
    expect(plain.stdout.text).toContain('\n Containers: 0\n  Running: 0\n');
  });

  test('check says what is damaged', async () => {
    const context = fakeContext();
    expect(await run(context, 'system check')).toBe(0);
    context.fake.faults = ['layer sha256:1: its archive has the digest sha256:2'];
    expect(await run(context, 'system check')).toBe(1);
    expect(context.stdout.text).toBe('layer sha256:1: its archive has the digest sha256:2\n');
  });

  test('check --repair says what it made again and what is lost, and ends with 0 when all is whole', async () => {
    const context = fakeContext();
    context.fake.faults = ['layer sha256:1: damaged'];
    expect(await run(context, 'system check --repair')).toBe(0);
    expect(context.stdout.text).toBe('layer sha256:1: damaged\nmade again: layer sha256:1\nlost: name app:1\n');
    expect(context.stderr.text).toBe('The damaged database is kept: /h/hypr.db.damaged-1\nImages and records are whole\n');
  });
});

describe('build checks', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypr-check-'));
    await writeFile(join(folder, 'Dockerfile'), 'FROM a\nCMD x\n');
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('build --check shows each finding where it is, and builds nothing', async () => {
    const context = { ...fakeContext(), cwd: folder };
    expect(await run(context, 'build --check .')).toBe(0);
    expect(context.stdout.text).toBe('Check complete, no warnings found.\n');
    context.stdout.text = '';
    context.fake.findings = [{ rule: 'JSONArgsRecommended', message: 'JSON arguments recommended for CMD', line: 2 }];
    expect(await run(context, 'build --check .')).toBe(1);
    expect(context.stdout.text).toBe(
      [
        'Check complete, 1 warning has been found!',
        '',
        'WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/',
        'JSON arguments recommended for CMD',
        'Dockerfile:2',
        '--------------------',
        '   1 |     FROM a',
        '   2 | >>> CMD x',
        '--------------------',
        '',
      ].join('\n'),
    );
    expect(context.fake.call('build')).toBeUndefined();
  });

  test('a build tells its warnings at the end', async () => {
    const context = { ...fakeContext(), cwd: folder };
    context.fake.buildEvents = [{ type: 'warning', message: 'JSONArgsRecommended: better so', file: 'Dockerfile', line: 2 }];
    expect(await run(context, 'build .')).toBe(0);
    expect(context.stderr.text).toMatch(/\n\n 1 warning found:\n - JSONArgsRecommended: better so \(line 2\)\n$/);
    const quiet = { ...fakeContext(), cwd: folder };
    quiet.fake.buildEvents = context.fake.buildEvents;
    expect(await run(quiet, 'build -q .')).toBe(0);
    expect(quiet.stderr.text).toBe('');
  });
});
