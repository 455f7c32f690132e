import { describe, expect, test } from 'vitest';
import { serviceOf } from '../../../engine/docker/machines/service-of.ts';
import { ASKED, TERMINAL_SIZE } from '../../../engine/model/spec.ts';
import type { Image } from '../../../engine/model/types.ts';

const image: Image = {
  id: 'sha256:1',
  manifestDigest: 'sha256:2',
  references: ['docker.io/library/x:1'],
  platform: 'linux/amd64',
  created: 0,
  size: 0,
  layers: [],
  config: {
    Env: [],
    Entrypoint: ['/entry'],
    Cmd: ['serve'],
    WorkingDir: '',
    User: '',
    ExposedPorts: { '80/tcp': {}, '53/udp': {} },
    Volumes: {},
    Labels: {},
  },
};

const made = (config: Record<string, unknown>) => serviceOf({ Image: 'x:1', ...config }, image);

describe('the program', () => {
  test('is the image’s without a word of it', () => {
    expect(made({})).toMatchObject({ image: 'x:1', tty: false, stdin_open: false });
    expect(made({})).not.toHaveProperty('entrypoint');
    expect(made({ Cmd: null, Entrypoint: null })).not.toHaveProperty('command');
  });

  test.each<[string, Record<string, unknown>, unknown]>([
    ['has the size that its client has', { Tty: true, HostConfig: { ConsoleSize: [24, 80] } }, { rows: 24, columns: 80 }],
    ['has none where its client has none', { Tty: true, HostConfig: { ConsoleSize: [0, 0] } }, undefined],
    ['that is none has none', { Tty: false, HostConfig: { ConsoleSize: [24, 80] } }, undefined],
    ['has none of nonsense', { Tty: true, HostConfig: { ConsoleSize: [-1, 1e9] } }, undefined],
  ])('its terminal %s', (_, config, size) => {
    expect(made(config)[TERMINAL_SIZE]).toEqual(size);
  });

  test('a command may be one text; an entrypoint of one empty text is none', () => {
    expect(made({ Cmd: 'date' }).command).toEqual(['date']);
    expect(made({ Entrypoint: [''], Cmd: ['a'] })).toMatchObject({ entrypoint: [], command: ['a'] });
    expect(made({ Entrypoint: [] })).toMatchObject({ entrypoint: [], command: ['serve'] });
  });

  test('a variable without a value takes the image’s away', () => {
    expect(made({ Env: ['A=1=2', 'B', 'C='] }).environment).toEqual({ A: '1=2', B: null, C: '' });
  });
});

describe('ports', () => {
  test('with and without addresses and numbers', () => {
    const PortBindings = {
      '80/tcp': [
        { HostIp: '', HostPort: '8080' },
        { HostIp: '0.0.0.0', HostPort: '0' },
      ],
      '53/udp': null,
    };
    expect(made({ HostConfig: { PortBindings } }).ports).toEqual([
      { target: 80, protocol: 'tcp', published: '8080' },
      { target: 80, protocol: 'tcp', host_ip: '0.0.0.0' },
      { target: 53, protocol: 'udp' },
    ]);
  });

  test('all that the image and the request expose, once', () => {
    const config = {
      ExposedPorts: { '9000/tcp': {} },
      HostConfig: { PublishAllPorts: true, PortBindings: { '80/tcp': [{ HostPort: '81' }] } },
    };
    expect(made(config).ports?.map(({ target, published }) => `${published ?? 'any'}:${target}`)).toEqual(['81:80', 'any:53', 'any:9000']);
  });

  test.each(['x', '80/sctp', '80/tcp/x'])('%s is refused', (port) => {
    expect(() => made({ HostConfig: { PortBindings: { [port]: [{}] } } })).toThrow(/invalid port/);
  });
});

describe('mounts', () => {
  test('of both forms, and anonymous volumes that nothing else is mounted on', () => {
    const config = {
      Volumes: { '/data': {}, '/cache': {} },
      HostConfig: {
        Binds: ['/host:/data:ro', 'named:/n:nocopy', '/anon'],
        Mounts: [
          { Type: 'volume', Source: 'v', Target: '/v', VolumeOptions: { Subpath: 'a' } },
          { Type: 'tmpfs', Target: '/t', TmpfsOptions: { SizeBytes: 4096 } },
        ],
        Tmpfs: { '/run': 'size=1m', '/x': '' },
      },
    };
    expect(made(config)).toMatchObject({
      volumes: [
        { type: 'bind', source: '/host', target: '/data', read_only: true },
        { type: 'volume', source: 'named', target: '/n', volume: { nocopy: true } },
        { type: 'volume', target: '/anon' },
        { type: 'volume', source: 'v', target: '/v', volume: { subpath: 'a' } },
        { type: 'tmpfs', target: '/t', tmpfs: { size: '4096' } },
        { type: 'volume', target: '/cache' },
      ],
      tmpfs: ['/run:size=1m', '/x'],
    });
  });

  test('docker’s socket is mounted as anything else; only a label of the request gives it more', () => {
    const Binds = ['/var/run/docker.sock:/x'];
    expect(made({ HostConfig: { Binds } }).volumes).toMatchObject([{ type: 'bind', source: '/var/run/docker.sock', target: '/x' }]);
    expect(made({ HostConfig: { Binds } })).not.toHaveProperty('x-hypr');
    expect(made({ HostConfig: { Binds }, Labels: { 'hypr.docker': 'full' } })).toMatchObject({ 'x-hypr': { docker: 'full' } });
  });

  test('mounts that there are not are refused', () => {
    expect(() => made({ HostConfig: { Mounts: [{ Type: 'npipe', Source: 'x', Target: '/x' }] } })).toThrow(/not supported/);
    expect(() => made({ HostConfig: { Binds: ['a:b'] } })).toThrow(/invalid volume/);
  });
});

describe('limits, health and policies', () => {
  test('in the units of a Compose file', () => {
    const HostConfig = {
      Memory: 1 << 28,
      NanoCpus: 1.5e9,
      ShmSize: 4096,
      StorageOpt: { size: '10G' },
      Ulimits: [{ Name: 'nofile', Soft: 1, Hard: 2 }],
      RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 },
    };
    expect(made({ HostConfig, StopTimeout: 7 })).toMatchObject({
      mem_limit: '268435456',
      cpus: 1.5,
      shm_size: '4096',
      storage_opt: { size: '10G' },
      ulimits: { nofile: { soft: 1, hard: 2 } },
      restart: 'on-failure:3',
      stop_grace_period: '7s',
    });
    expect(made({ HostConfig: { CpuQuota: 50_000 } }).cpus).toBe(0.5);
  });

  test('health checks are in nanoseconds, and NONE is none', () => {
    expect(made({ Healthcheck: { Test: ['CMD', 'x'], Interval: 1.5e9, Retries: 2 } }).healthcheck).toEqual({
      test: ['CMD', 'x'],
      interval: '1500ms',
      retries: 2,
    });
    expect(made({ Healthcheck: { Test: ['NONE'] } }).healthcheck).toEqual({ disable: true });
    expect(made({ Healthcheck: {} })).not.toHaveProperty('healthcheck');
  });

  test('what is no policy, or not with --rm', () => {
    expect(() => made({ HostConfig: { RestartPolicy: { Name: 'sometimes' } } })).toThrow(/unknown policy/);
    expect(() => made({ HostConfig: { AutoRemove: true, RestartPolicy: { Name: 'always' } } })).toThrow(/AutoRemove/);
    expect(made({ HostConfig: { AutoRemove: true } })).toMatchObject({ auto_remove: true });
  });

  test.each([{ PidMode: 'host' }, { IpcMode: 'host' }, { Devices: [{}] }, { VolumesFrom: ['x'] }])(
    '%j is refused with its reason',
    (HostConfig) => {
      expect(() => made({ HostConfig })).toThrow(/not supported by hypr: /);
    },
  );

  test.each([{ Env: { A: 1 } }, { HostConfig: [] }, { Labels: 3 }, { HostConfig: { Memory: 'much' } }])(
    '%j is refused with 400',
    (config) => {
      const thrown = (() => {
        try {
          return made(config);
        } catch (error) {
          return error;
        }
      })();
      expect(thrown).toMatchObject({ status: 400 });
    },
  );

  test('one text where a list belongs is a list of one', () => {
    expect(made({ Env: 'A=1' }).environment).toEqual({ A: '1' });
  });
});

describe('what has no effect', () => {
  test('is kept, so that inspect tells it; what clients write for nothing is not', () => {
    const HostConfig = {
      CpuShares: 512,
      Tmpfs: { '/x': 'size=1m' },
      LogConfig: { Type: '', Config: {} },
      ...{ Isolation: '', PidsLimit: 0, OomKillDisable: false, DeviceCgroupRules: null, SecurityOpt: [] },
    };
    expect(made({ HostConfig })[ASKED]).toEqual({
      CpuShares: 512,
      Tmpfs: { '/x': 'size=1m' },
      LogConfig: { Type: 'json-file', Config: {} },
    });
    expect(made({ HostConfig: { LogConfig: { Type: 'syslog', Config: {} } } })[ASKED]).toEqual({
      LogConfig: { Type: 'syslog', Config: {} },
    });
    expect(made({ HostConfig: { CpuShares: 0, LogConfig: {} } })).not.toHaveProperty(ASKED);
  });

  test('is refused where docker refuses it, too', () => {
    expect(() => made({ HostConfig: { LogConfig: { Type: 'asdf' } } })).toThrow("logger: no log driver named 'asdf' is registered");
    expect(() => made({ HostConfig: { Memory: 4 * 2 ** 20 } })).toThrow('Minimum memory limit allowed is 6MB');
  });
});
