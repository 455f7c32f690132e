import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Image } from '../../../engine/model/types.ts';
import { type FakeContext, fakeContext, run } from '../support/fake-context.ts';
import { NOW, replica } from '../support/fake-engine.ts';

const image = (extra: Partial<Image> = {}): Image => ({
  id: `sha256:${'ab'.repeat(32)}`,
  manifestDigest: 'sha256:11',
  references: ['docker.io/library/nginx:1.26'],
  platform: 'linux/amd64',
  created: NOW - 3 * 86_400_000,
  size: 187_654_321,
  config: { Env: [], Entrypoint: null, Cmd: null, WorkingDir: '', User: '', ExposedPorts: {}, Volumes: {}, Labels: {} },
  layers: ['sha256:22'],
  ...extra,
});

const withImages = (): FakeContext => {
  const context = fakeContext();
  context.fake.images = [
    image(),
    image({
      id: `sha256:${'cd'.repeat(32)}`,
      references: ['ghcr.io/acme/app:2', 'ghcr.io/acme/app:latest'],
      created: NOW - 60_000,
      size: 1000,
    }),
    image({ id: `sha256:${'ef'.repeat(32)}`, references: [], created: 0 }),
  ];
  return context;
};

describe('images', () => {
  test('are listed as docker lists them', async () => {
    const context = withImages();
    expect(await run(context, 'images')).toBe(0);
    expect(context.stdout.text).toBe(
      [
        'REPOSITORY         TAG       IMAGE ID       CREATED              SIZE',
        'ghcr.io/acme/app   2         cdcdcdcdcdcd   About a minute ago   1kB',
        'ghcr.io/acme/app   latest    cdcdcdcdcdcd   About a minute ago   1kB',
        'nginx              1.26      abababababab   3 days ago           188MB',
        '<none>             <none>    efefefefefef   56 years ago         188MB',
        '',
      ].join('\n'),
    );
  });

  test.each([
    ['images -q nginx', 'abababababab\n'],
    ["images --format '{{.Repository}}:{{.Tag}}' ghcr.io/acme/*", 'ghcr.io/acme/app:2\nghcr.io/acme/app:latest\n'],
    ['images -q -f dangling=true', 'efefefefefef\n'],
    ["image inspect -f '{{.Os}}/{{.Architecture}} {{index .RepoTags 0}}' nginx", 'linux/amd64 nginx:1.26\n'],
    ['rmi -f nginx', 'Untagged: nginx\n'],
    ['image rm nginx', 'Untagged: nginx\n'],
  ])('%s', async (line, text) => {
    const context = withImages();
    expect(await run(context, line)).toBe(0);
    expect(context.stdout.text).toBe(text);
  });

  test('are those of the stack when asked by compose images', async () => {
    const context = withImages();
    context.fake.replicas = [replica({ service: 'web', image: 'docker.io/library/nginx:1.26' })];
    await run(context, 'compose images');
    expect(context.stdout.text).toBe(
      [
        'CONTAINER           REPOSITORY          TAG                 PLATFORM            IMAGE ID            SIZE                CREATED',
        'shop-web-1          nginx               1.26                linux/amd64         abababababab        188MB               3 days ago',
        '',
      ].join('\n'),
    );
  });
});

describe('images that are not there', () => {
  test('inspect prints those that are, an empty list otherwise, and fails', async () => {
    const context = fakeContext();
    expect(await run(context, 'image inspect nothing')).toBe(1);
    expect(context.stdout.text).toBe('[]\n');
    expect(context.stderr.text).toContain('IMAGE_NOT_FOUND');
  });
});

test("the one engine is docker's default context", async () => {
  const context = fakeContext();
  expect(await run(context, 'context show')).toBe(0);
  expect(await run(context, 'context ls --format {{.Name}}')).toBe(0);
  expect(await run(context, 'context use default')).toBe(0);
  expect(context.stdout.text).toBe('default\ndefault\ndefault\nCurrent context is now "default"\n');
  expect(await run(context, 'context use other')).toBe(1);
});

describe('pull, build, save and load', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypr-cli-'));
    await writeFile(join(folder, 'Dockerfile'), 'FROM scratch\n');
    await writeFile(join(folder, 'token'), 'x');
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('pull of an image prints its full name, pull of services takes the flags of compose', async () => {
    const context = withImages();
    expect(await run(context, 'pull -q --platform linux/arm64 nginx:1.26')).toBe(0);
    expect(context.fake.call('pull')?.args.slice(0, 2)).toEqual([['nginx:1.26'], { policy: 'always', platform: 'linux/arm64' }]);
    expect(context.stdout.text.split('\n')[0]).toBe('docker.io/library/nginx:1.26');
    await run(context, 'compose pull --policy missing --include-deps web');
    expect(context.fake.call('pullProject')?.args[1]).toMatchObject({ policy: 'missing', includeDeps: true, services: ['web'] });
    expect(await run(context, 'pull')).toBe(1);
    expect(context.stderr.text).toContain('hypr compose pull');
  });

  test('a build as docker build has it', async () => {
    const context = { ...fakeContext({ env: { TOKEN: 'secret', HTTP: 'p' } }), cwd: folder };
    const line =
      'build -t app:1 --build-arg A=1 --build-arg HTTP --build-arg UNSET --label l=v --target prod --network none ' +
      '--memory 3g --cpus 2 --disk 10g --timeout 1m30s --ulimit nofile=5:6 --ulimit core=-1 --secret id=npm,src=token --secret id=TOKEN,env=TOKEN --add-host db:10.0.0.1 --shm-size 64m --no-cache --pull --rm .';
    expect(await run(context, line)).toBe(0);
    expect(context.fake.call('build')?.args[0]).toEqual({
      ssh: {},
      limits: {
        memoryMib: 3072,
        cpus: 2,
        diskMib: 10_240,
        stepTimeout: 90_000,
        ulimits: { nofile: { soft: 5, hard: 6 }, core: { soft: -1, hard: -1 } },
      },
      context: folder,
      dockerfile: { path: join(folder, 'Dockerfile') },
      tags: ['app:1'],
      buildArgs: { A: '1', HTTP: 'p' },
      labels: { l: 'v' },
      target: 'prod',
      network: 'none',
      noCache: true,
      pull: true,
      additionalContexts: {},
      extraHosts: ['db=10.0.0.1'],
      secrets: { npm: { file: join(folder, 'token') }, TOKEN: { value: 'secret' } },
      shmSize: 64 << 20,
    });
    expect(context.stderr.text).toContain('#1 [1/1] FROM scratch\n#1 DONE 0.1s\n');
  });

  test('a Dockerfile from standard input; -q prints the id', async () => {
    const context = { ...fakeContext(), cwd: folder };
    context.stdin.end('FROM debian\n');
    expect(await run(context, 'build -q -f - .')).toBe(0);
    expect(context.fake.call('build')?.args[0]).toMatchObject({ dockerfile: { text: 'FROM debian\n', name: 'Dockerfile' } });
    expect(context.stdout.text).toBe(`sha256:${'cd'.repeat(32)}\n`);
    expect(context.stderr.text).toBe('');
  });

  test.each([
    ['build', 'needs the folder to build'],
    ['build -f nope .', 'there is no'],
    ['build -f - -', 'cannot be both'],
    ['build --secret src=a,foo=b .', '"foo" is not known'],
    ['build --secret id=a,env=NOT_SET .', 'the variable NOT_SET is not set'],
    ['build --add-host nope .', 'is not NAME:ADDRESS'],
    ['build --push -o out .', '--push cannot be combined'],
    ['build --sbom true .', 'no SBOM is made'],
  ])('%s is refused', async (line, message) => {
    const context = { ...fakeContext(), cwd: folder };
    expect(await run(context, line)).toBe(1);
    expect(context.stderr.text).toContain(message);
    expect(context.fake.call('build')).toBeUndefined();
  });

  test('--check of a repository, with what it takes to read it', async () => {
    const context = { ...fakeContext(), cwd: folder };
    context.env.TOKEN = 't';
    expect(await run(context, 'build --check --secret id=GIT_AUTH_TOKEN,env=TOKEN -f sub/File https://x.y/z.git#main')).toBe(0);
    expect(context.fake.call('check')?.args[0]).toMatchObject({
      context: 'https://x.y/z.git#main',
      dockerfile: { path: 'sub/File' },
      secrets: { GIT_AUTH_TOKEN: { value: 't' } },
    });
  });

  test('archives by file and by stream', async () => {
    const context = { ...fakeContext(), cwd: folder };
    context.stdin.end('tar');
    await run(context, 'load -q');
    await run(context, 'save -o out.tar --format oci app');
    expect(context.stdout.text).toBe('Loaded image: docker.io/library/app:1\n');
    expect(context.fake.call('save')?.args.slice(0, 3)).toEqual([['app'], join(folder, 'out.tar'), { format: 'oci' }]);
    context.stdout.isTTY = true;
    expect(await run(context, 'save app')).toBe(1);
    expect(context.stderr.text).toContain('standard output is a terminal');
  });
});

test('history as docker prints it, the last step first', async () => {
  const context = fakeContext();
  expect(await run(context, 'history nginx')).toBe(0);
  expect(context.stdout.text).toBe(
    [
      'IMAGE          CREATED       CREATED BY                                      SIZE      COMMENT',
      'abababababab   2 hours ago   CMD ["nginx" "-g" "daemon off;"]                0B        buildkit',
      `<missing>      N/A           RUN ${'x'.repeat(40)}…   1.5MB     `,
      '',
    ].join('\n'),
  );
  const json = fakeContext();
  expect(await run(json, 'image history --no-trunc --human=false --format json nginx')).toBe(0);
  const second = JSON.parse(json.stdout.text.split('\n')[1] ?? '');
  expect(second).toMatchObject({ ID: '<missing>', Size: '1500000', CreatedAt: 'N/A' });
  expect(second.CreatedBy).not.toContain('\u001b');
  const quiet = fakeContext();
  await run(quiet, 'history -q nginx');
  expect(quiet.stdout.text).toBe('abababababab\n<missing>\n');
});
