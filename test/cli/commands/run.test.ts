import { describe, expect, test } from 'vitest';
import { errorFromJson, HyprError } from '../../../base/errors.ts';
import { runCli } from '../../../cli/entry/run.ts';
import { NO_COMPOSE_FILE } from '../../../compose/files/file-names.ts';
import type { Project } from '../../../compose/model/model.ts';
import { DetachKeys } from '../../../engine/docker/machines/detach-keys.ts';
import type { ReplicaDetail } from '../../../engine/model/types.ts';
import { type FakeContext, fakeContext, fakeProject } from '../support/fake-context.ts';
import { NOW, replica } from '../support/fake-engine.ts';

const run = (context: FakeContext, line: string): Promise<number> => runCli(line.split(' '), context);

describe('compose run', () => {
  test.each([
    ['compose run --rm -T web ls', ' Image web Pulling\n ab12 Downloading\n Image web Pulled\n'],
    ['compose run --rm -T --quiet-pull web ls', ' Image web Pulling\n Image web Pulled\n'],
    ['compose run --rm -T --quiet web ls', ''],
  ])('%s: what it shows of a pull', async (line, shown) => {
    const context = fakeContext();
    const tell = (id: string, text: string, parentId?: string) => ({
      type: 'progress' as const,
      time: NOW,
      progress: { id, text, status: 'working' as const, ...(parentId === undefined ? {} : { parentId }) },
    });
    context.fake.onUp = async (onEvent) => {
      onEvent(tell('Image web', 'Pulling'));
      onEvent(tell('ab12', 'Downloading', 'Image web'));
      onEvent(tell('Image web', 'Pulled'));
    };
    expect(await run(context, line)).toBe(0);
    expect(context.stderr.text).toBe(shown);
  });

  test('flags, service and program', async () => {
    const context = fakeContext();
    context.fake.exitCode = 3;
    const line =
      'compose run --rm -T -e A=1 -e HOME_TOWN -v ./src:/srv:ro -v cache:/c -p 127.0.0.1:81:80 -u app -w /srv -l k=v --cap-add SYS_PTRACE --name job web ls -l --rm';
    expect(await run(context, line)).toBe(3);
    const [, options] = context.fake.call('run')?.args ?? [];
    expect(options).toMatchObject({
      service: 'web',
      name: 'job',
      args: ['ls', '-l', '--rm'],
      env: { A: '1' },
      labels: { k: 'v' },
      volumes: [
        { type: 'bind', source: `${context.cwd}/src`, target: '/srv', read_only: true },
        { type: 'volume', source: 'cache', target: '/c' },
      ],
      ports: [{ host_ip: '127.0.0.1', published: '81', target: 80, protocol: 'tcp' }],
      user: 'app',
      workdir: '/srv',
      capAdd: ['SYS_PTRACE'],
      tty: false,
      stdin: true,
      remove: 'replica',
      detach: false,
    });
  });

  test('prints the id when detached', async () => {
    const context = fakeContext();
    expect(await run(context, 'compose run -d web')).toBe(0);
    expect(context.stdout.text).toBe(`${'f'.repeat(64)}\n`);
  });

  test('prints the id of a detached one that runs, also where a hook of it failed', async () => {
    const context = fakeContext();
    context.fake.exitCode = 1;
    expect(await run(context, 'compose run -d web')).toBe(1);
    expect(context.stdout.text).toBe(`${'f'.repeat(64)}\n`);
  });

  test.each([
    ['compose run nope', 'no such service: nope'],
    ['compose run -P -p 80 web', 'cannot be given together'],
    ['compose run -p 99999 web', 'above 65535'],
    ['compose run', 'needs an argument'],
  ])('%s: %s', async (line, message) => {
    const context = fakeContext();
    expect(await run(context, line)).toBe(1);
    expect(context.stderr.text).toContain(message);
    expect(context.fake.call('run')).toBeUndefined();
  });

  test('ends with 1 without a terminal for -t, as docker’s client does', async () => {
    const context = fakeContext();
    expect(await run(context, 'run -t busybox')).toBe(1);
    expect(context.stderr.text).toContain('not a TTY');
  });

  test.each([
    ['run --rm --rm=false busybox', 'no'],
    ['run --rm=false --rm busybox', 'stack'],
  ])('%s: the last one counts', async (line, remove) => {
    const context = fakeContext();
    await run(context, line);
    expect(context.fake.call('run')?.args[1]).toMatchObject({ remove });
  });
});

test('run with a terminal asked for needs one on its input, as in docker compose', async () => {
  for (const flag of ['--tty', '--no-tty=false']) {
    const context = fakeContext();
    expect(await run(context, `compose run --rm ${flag} web cat`)).toBe(1);
    expect(context.stderr.text).toContain('cannot attach stdin to a TTY-enabled container because stdin is not a terminal');
  }
});

describe('run IMAGE', () => {
  test('a stack of one, made for it', async () => {
    const context = fakeContext();
    expect(await run(context, 'run --rm -e A=1 --name job --memory 1g --storage-opt size=2g --network none busybox echo hi')).toBe(0);
    const [project, options] = context.fake.call('run')?.args ?? [];
    expect(project).toMatchObject({
      name: 'job',
      services: { job: { image: 'busybox', mem_limit: '1g', storage_opt: { size: '2g' }, network_mode: 'none' } },
      networks: {},
    });
    expect(options).toMatchObject({ service: 'job', name: 'job', args: ['echo', 'hi'], remove: 'stack', ordinary: true, stdin: false });
  });

  test('flags about its network and its health', async () => {
    const context = fakeContext();
    const line =
      'run -d --name job --ip 192.168.127.9 --network-alias j --mac-address 02:00:00:00:00:09 --domainname x --dns-search a.b --dns-option ndots:1 --expose 80 --group-add 5 --health-cmd true --health-interval 3s --health-start-period 1m --health-retries 2 busybox';
    expect(await run(context, line)).toBe(0);
    expect(context.fake.call('run')?.args[0]).toMatchObject({
      networks: { bridge: { name: 'bridge', external: true } },
      services: {
        job: {
          networks: { bridge: { ipv4_address: '192.168.127.9', aliases: ['j'] } },
          mac_address: '02:00:00:00:00:09',
          domainname: 'x',
          dns_search: ['a.b'],
          dns_opt: ['ndots:1'],
          expose: ['80'],
          group_add: ['5'],
          healthcheck: { test: ['CMD-SHELL', 'true'], interval: '3s', start_period: '1m', retries: 2 },
        },
      },
    });
    const plain = fakeContext();
    expect(await run(plain, 'run -d --no-healthcheck --cpu-shares 5 --pids-limit 9 busybox')).toBe(0);
    const project = plain.fake.call('run')?.args[0] as Project | undefined;
    expect(Object.values(project?.services ?? {})).toMatchObject([{ healthcheck: { disable: true } }]);
    expect(plain.stderr.text).toContain('warning: --pids-limit has no effect: a machine has a kernel of its own');
  });

  test('--mount says what -v says, and create makes the same machine without starting it', async () => {
    const context = fakeContext();
    const mounts =
      '--mount type=bind,src=sub,dst=/b,readonly --mount type=volume,source=data,target=/v --mount type=tmpfs,dst=/t,tmpfs-size=1m';
    const wanted = [
      { type: 'bind', source: `${context.cwd}/sub`, target: '/b', read_only: true, bind: { create_host_path: false } },
      { type: 'volume', source: 'data', target: '/v', read_only: false, volume: { nocopy: false } },
      { type: 'tmpfs', target: '/t', tmpfs: { size: '1m' } },
    ];
    expect(await run(context, `run -d -h there ${mounts} --name job busybox`)).toBe(0);
    expect(context.fake.call('run')?.args[1]).toMatchObject({ volumes: wanted });
    expect(context.fake.call('run')?.args[0]).toMatchObject({ services: { job: { hostname: 'there' } } });
    const create = fakeContext({ project: new HyprError('COMPOSE_NOT_FOUND', 'no file', { reason: NO_COMPOSE_FILE }) });
    expect(
      await run(
        create,
        `create ${mounts.replace('src=sub', `src=${context.cwd}/sub`)} -e A=1 -l b=2 --restart always --name job busybox sleep 9`,
      ),
    ).toBe(0);
    const service = { container_name: 'job', command: ['sleep', '9'], environment: { A: '1' }, labels: { b: '2' }, restart: 'always' };
    expect(create.fake.call('up')?.args[0]).toMatchObject({ services: { job: { ...service, volumes: wanted } } });
    expect(create.fake.call('up')?.args[1]).toMatchObject({ noStart: true });
  });

  test('networks that were made by network create', async () => {
    const context = fakeContext();
    expect(await run(context, 'run -d --name job --network front --network back busybox')).toBe(0);
    expect(context.fake.call('run')?.args[0]).toMatchObject({
      networks: { front: { name: 'front', external: true }, back: { name: 'back', external: true } },
      services: { job: { networks: { front: { priority: 1, gw_priority: 1 }, back: {} } } },
    });
  });

  test('--name takes what docker takes, and one name once; the stack of such a machine has a name that a stack can have', async () => {
    const context = fakeContext();
    expect(await run(context, 'run --name My.Web_1 busybox')).toBe(0);
    const [project, options] = context.fake.call('run')?.args ?? [];
    expect(options).toMatchObject({ service: 'My.Web_1', name: 'My.Web_1' });
    expect(project).toMatchObject({
      name: expect.stringMatching(/^my-web_1-[0-9a-f]{6}$/),
      services: { 'My.Web_1': { image: 'busybox' } },
    });
    const other = fakeContext();
    other.fake.machines = [
      { stack: 'my-web_1-abcdef', standalone: true, status: replica({ service: 'My.Web_1', name: 'My.Web_1' }) } as ReplicaDetail,
    ];
    expect(await run(other, 'run --name My.Web_1 busybox')).toBe(125);
    expect(other.stderr.text).toContain('is already in use by a machine');
  });

  test.each([
    ['run --ip nine busybox', '"nine" is not an IPv4 address'],
    ['run --ip6 10.7.8.9 busybox', '"10.7.8.9" is not an IPv6 address'],
    ['run --network none --network back busybox', 'cannot be combined'],
    ['run --network host busybox', '--network host is not supported'],
    ['run --gpus some busybox', '--gpus does not know'],
    ['run --memory 1k busybox', 'Minimum memory limit allowed is 6MB'],
    ['run --rm --restart always busybox', 'cannot be given together'],
    ['run --name -web busybox', 'cannot be the name'],
    ['run --name we/b busybox', 'cannot be the name'],
    ['run --name shop busybox', 'is already in use'],
    ['run --mount type=bind,src=/x busybox', 'its target has to be an absolute path'],
    ['run --mount type=npipe,dst=/x busybox', '"npipe" is none of'],
    ['run --mount size=3,dst=/x busybox', '"size" is not known'],
    ['run --no-such busybox', 'unknown option'],
  ])('%s: %s', async (line, message) => {
    const context = fakeContext();
    expect(await run(context, line)).toBe(125);
    expect(context.stderr.text).toContain(message);
    expect(context.fake.call('run')).toBeUndefined();
  });
});

test('attach carries output and gives the exit code', async () => {
  const context = fakeContext();
  context.fake.exitCode = 4;
  context.fake.execOutput = [{ stream: 'stdout', data: Buffer.from('out') }];
  expect(await run(context, 'compose attach --index 2 --no-stdin web')).toBe(4);
  expect(context.fake.call('attach')?.args[0]).toEqual({ service: 'web', index: 2 });
  expect(context.stdout.text).toBe('out');
});

describe('detach keys', () => {
  const read = (keys: DetachKeys, bytes: number[]) => {
    const { data, detach } = keys.read(Uint8Array.from(bytes));
    return [[...data], detach];
  };

  test('the sequence leaves; a beginning of it is held back and given later', () => {
    const keys = new DetachKeys('ctrl-p,ctrl-q');
    expect(read(keys, [97, 16])).toEqual([[97], false]);
    expect(read(keys, [98])).toEqual([[16, 98], false]);
    expect(read(keys, [16, 16, 17, 99])).toEqual([[16], true]);
  });

  test('may be letters and control keys, and are refused when unknown', () => {
    expect(read(new DetachKeys('a,ctrl-[,ctrl-@'), [97, 27, 0])).toEqual([[], true]);
    expect(() => new DetachKeys('ctrl-1')).toThrow('does not know "ctrl-1"');
    expect(() => new DetachKeys('')).toThrow('does not know');
  });
});

test('volumes: all, of a service, names only', async () => {
  const context = fakeContext();
  expect(await run(context, 'compose volumes')).toBe(0);
  expect(context.stdout.text).toBe('DRIVER    VOLUME NAME\nlocal     shop_cache\nlocal     shop_data\n');
  const named = fakeContext();
  expect(await run(named, 'compose volumes -q db')).toBe(0);
  expect(named.stdout.text).toBe('shop_data\n');
});

test('an error of the supervisor that names a path of the model is told with its place', async () => {
  const context = fakeContext({ project: fakeProject() });
  context.fake.onUp = async () => {
    const error = new HyprError('HYPR_UNSUPPORTED', 'service web: pid: host is not supported', { path: ['services', 'web', 'pid'] });
    throw errorFromJson(JSON.parse(JSON.stringify(error)));
  };
  const placeOf = (path: readonly string[]) => ({ file: `/shop/${path.join('-')}.yaml`, line: 7, column: 5 });
  expect(await runCli(['up', '-d'], { ...context, placeOf })).toBe(1);
  expect(context.stderr.text).toContain('service web: pid: host is not supported');
  expect(context.stderr.text).toContain('at /shop/services-web-pid.yaml:7:5');
});
