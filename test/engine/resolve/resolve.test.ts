import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import type { ImageRuntime } from '../../../builder/model/types.ts';
import type { Project, Service } from '../../../compose/model/model.ts';
import { PUBLISH_ALL } from '../../../engine/model/spec.ts';
import { describeDesired } from '../../../engine/plan/desired.ts';
import { ineffectiveAttributes } from '../../../engine/resolve/ineffective.ts';
import { refuseUnsupported } from '../../../engine/resolve/refuse.ts';
import { resolveReplica } from '../../../engine/resolve/replica-spec.ts';
import { volumeDevice } from '../../../engine/resolve/volume-device.ts';
import { volumesOf } from '../../../engine/resources/volumes.ts';
import { imageOf, projectOf, RUNTIME } from '../support/project.ts';

const resolve = (service: Service, image: Partial<ImageRuntime> = {}, more: Partial<Project> = {}, number = 1) =>
  resolveReplica({
    project: projectOf({ web: service }, more),
    service: 'web',
    number,
    image: { reference: 'web:1', config: { ...RUNTIME, ...image } },
  });
const refusal = (service: Service, more: Partial<Project> = {}): HyprError => {
  try {
    resolve(service, {}, more);
  } catch (error) {
    if (error instanceof HyprError) {
      return error;
    }
  }
  throw new Error('it was not refused');
};

describe('an isolated service', () => {
  const isolated = (settings: object, more: Service = {}): Service => ({ ...more, 'x-hypr': { network: 'isolated', ...settings } });

  test('has no NIC, and nothing to find a proxy by unless it may reach something', () => {
    const spec = resolve(isolated({}, { networks: { default: null } }));
    expect([spec.networks, spec.isolated, spec.egress]).toEqual([[], { outbound: [] }, undefined]);
    expect(spec.process.env.filter((entry) => /proxy/i.test(entry))).toEqual([]);
  });

  test.each<[object, unknown]>([
    [{ allow_outbound: true }, 'everywhere'],
    [{ egress: 'allow' }, 'everywhere'],
    [{ egress: 'deny' }, []],
    [{ allow_outbound: false }, []],
    [{ allow_outbound: true, allowed_domains: ['a.com:443'] }, [{ to: 'a.com', ports: '443' }]],
    [{ egress: { allow: ['10.0.0.0/8'] } }, [{ to: '10.0.0.0/8' }]],
  ])('may reach by %j: %j', (settings, outbound) => {
    expect(resolve(isolated(settings)).isolated).toEqual({ outbound });
  });

  test('keeps the variables of a proxy that are set', () => {
    const { env } = resolve(isolated({ allow_outbound: true }, { environment: { HTTP_PROXY: 'http://own' } })).process;
    expect(env.filter((entry) => /^http_proxy/i.test(entry))).toEqual(['HTTP_PROXY=http://own']);
    expect(env).toContain('https_proxy=http://127.0.0.1:3128');
  });

  test.each<[Service, string]>([
    [{ ports: [{ target: 53, protocol: 'udp' }] }, 'cannot publish UDP'],
    [{ extra_hosts: ['db=host-gateway'] }, 'host-gateway is not supported'],
    [{ mac_address: '02:00:00:00:00:01' }, 'mac_address is not supported'],
  ])('cannot have %j', (service, message) => {
    expect(refusal(isolated({}, service))).toMatchObject({ code: 'HYPR_UNSUPPORTED', message: expect.stringContaining(message) });
  });

  test('is no target of links', () => {
    const project = projectOf({ web: { links: ['db'] }, db: isolated({}) });
    const image = { reference: 'web:1', config: RUNTIME };
    expect(() => resolveReplica({ project, service: 'web', number: 1, image })).toThrow(/links: db is isolated/);
  });
});

describe('the program', () => {
  const image = { Entrypoint: ['/entry'], Cmd: ['serve', '--fast'] };
  test.each<[string, Service, string[]]>([
    ['image alone', {}, ['/entry', 'serve', '--fast']],
    ['a command replaces the image’s', { command: ['other'] }, ['/entry', 'other']],
    ['an entrypoint drops the image’s command', { entrypoint: ['/mine'] }, ['/mine']],
    ['both', { entrypoint: ['/mine'], command: ['x'] }, ['/mine', 'x']],
    ['null is the image’s', { entrypoint: null, command: null }, ['/entry', 'serve', '--fast']],
    ['an empty entrypoint takes the image’s away', { entrypoint: [], command: ['sh'] }, ['sh']],
  ])('%s', (_, service, args) => {
    expect(resolve(service, image).process.args).toEqual(args);
  });

  test('an init, and no new privileges, for those who ask for it', () => {
    expect(resolve({ init: true, security_opt: ['no-new-privileges:true'] }).process).toMatchObject({ init: true, noNewPrivileges: true });
    expect(resolve({ security_opt: ['label:disable', 'no-new-privileges'] }).process).toMatchObject({ noNewPrivileges: true });
    const without = resolve({ init: false, security_opt: ['no-new-privileges=false'] }).process;
    expect([without.init, without.noNewPrivileges]).toEqual([undefined, undefined]);
  });

  test('environment: a PATH, then the image, then the file; null takes away what the image has', () => {
    const { env } = resolve({ environment: { A: 'file', C: '', N: null } }, { Env: ['A=image', 'B=1=2', 'N=image'] }).process;
    expect(env).toEqual([
      expect.stringMatching(/^PATH=\/usr\/local\/sbin:/),
      'A=file',
      'B=1=2',
      'C=',
      '__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS=.shop.hypr',
    ]);
    const key = '__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS';
    expect(resolve({ environment: { [key]: null } }, { Env: ['PATH=/opt/bin'] }).process.env).toEqual(['PATH=/opt/bin']);
    expect(resolve({}, { Env: ['PATH=/opt/bin', `${key}=.mine`] }).process.env).toEqual(['PATH=/opt/bin', `${key}=.mine`]);
  });

  test('user, folder, signals, limits: the file over the image over the default', () => {
    const image = { User: 'www', WorkingDir: '/srv', StopSignal: 'SIGQUIT' };
    expect(resolve({}, image)).toMatchObject({ process: { user: 'www', cwd: '/srv' }, stopSignal: 3, stopGraceMs: 10_000 });
    expect(
      resolve(
        {
          user: '0',
          working_dir: '/',
          stop_signal: 'SIGRTMIN+3',
          stop_grace_period: '1m30s',
          ulimits: { nofile: 9, core: { soft: 0, hard: -1 } },
        },
        image,
      ),
    ).toMatchObject({
      process: { user: '0', cwd: '/', limits: { nofile: { soft: 9, hard: 9 }, core: { soft: 0, hard: -1 } } },
      stopSignal: 37,
      stopGraceMs: 90_000,
    });
    expect(resolve({})).toMatchObject({ process: { user: '', cwd: '/' }, stopSignal: 15 });
    expect(refusal({ stop_signal: 'SIGNOTHING' }).message).toBe('SIGNOTHING is not a signal');
  });

  test('processors and memory: rounded up, with room for the guest itself', () => {
    expect(resolve({ cpus: 1.5, mem_limit: String(100 * 2 ** 20) })).toMatchObject({ vcpus: 2, memoryMib: 208 });
    expect(resolve({ deploy: { resources: { limits: { cpus: '0.5', memory: '64M' } } } })).toMatchObject({ vcpus: 1, memoryMib: 160 });
    expect(resolve({})).toMatchObject({ vcpus: undefined, memoryMib: undefined });
  });
});

describe('names', () => {
  test('project-service-number, unless the file says otherwise', () => {
    expect(resolve({}, {}, {}, 3)).toMatchObject({ name: 'shop-web-3', hostname: 'shop-web-3', number: 3 });
    expect(resolve({ container_name: 'mine', hostname: 'host', domainname: 'example.org' })).toMatchObject({
      name: 'mine',
      hostname: 'host',
      domainname: 'example.org',
    });
    expect(resolve({}, {}, { separator: '_' })).toMatchObject({ name: 'shop_web_1' });
  });

  test.each(['../x', 'a/b', '-a', '', 'a b'])('%j is no name', (name) => {
    expect(refusal({ container_name: name })).toMatchObject({ code: 'COMPOSE_INVALID' });
  });
});

describe('health checks', () => {
  const fromImage = { Healthcheck: { Test: ['CMD-SHELL', 'curl -f /'], Interval: 2e9, Retries: 5 } };

  test('have docker’s defaults when the file says only a test', () => {
    expect(resolve({ healthcheck: { test: ['CMD', 'ok', '-v'] } }).health).toEqual({
      args: ['ok', '-v'],
      interval: 30_000,
      timeout: 30_000,
      startPeriod: 0,
      startInterval: 5_000,
      retries: 3,
    });
  });

  test('zero is the default, never a loop without a pause', () => {
    const zero = { test: ['CMD', 'ok'], interval: '0s', timeout: '0s', start_period: '0s', start_interval: '0s', retries: 0 };
    expect(resolve({ healthcheck: zero }).health).toMatchObject({ interval: 30_000, timeout: 30_000, startInterval: 5_000, retries: 3 });
  });

  test('start_interval without start_period is refused, as by docker compose', () => {
    expect(refusal({ healthcheck: { test: ['CMD', 'ok'], start_interval: '1s' } })).toMatchObject({
      code: 'COMPOSE_INVALID',
      message: 'service web: healthcheck.start_interval requires healthcheck.start_period to be set',
    });
  });

  test('the image’s, and the file’s over it, part by part', () => {
    expect(resolve({}, fromImage).health).toMatchObject({ args: ['/bin/sh', '-c', 'curl -f /'], interval: 2_000, retries: 5 });
    expect(resolve({ healthcheck: { interval: '7s' } }, fromImage).health).toMatchObject({
      args: ['/bin/sh', '-c', 'curl -f /'],
      interval: 7_000,
    });
    expect(resolve({}, { ...fromImage, Shell: ['/bin/bash', '-ec'] }).health?.args).toEqual(['/bin/bash', '-ec', 'curl -f /']);
  });

  test.each<[string, Service]>([
    ['disable', { healthcheck: { disable: true } }],
    ['NONE', { healthcheck: { test: ['NONE'] } }],
  ])('%s turns the image’s off', (_, service) => {
    expect(resolve(service, fromImage).health).toBeUndefined();
  });
});

describe('restart policies', () => {
  test.each<[Service, object]>([
    [{}, { condition: 'no', maxAttempts: 0 }],
    [{ restart: 'on-failure:3' }, { condition: 'on-failure', maxAttempts: 3 }],
    [{ restart: 'unless-stopped' }, { condition: 'unless-stopped', maxAttempts: 0, delay: 100 }],
    [{ restart: 'always', deploy: { restart_policy: { condition: 'none' } } }, { condition: 'no' }],
    [{ deploy: { restart_policy: { max_attempts: 2, delay: '5s' } } }, { condition: 'always', maxAttempts: 2, delay: 5_000 }],
  ])('%j', (service, expected) => {
    expect(resolve(service).restart).toMatchObject(expected);
  });
});

describe('mounts', () => {
  test('parents before children; anonymous volumes for VOLUMEs that nobody covers', () => {
    const { mounts } = resolve(
      {
        volumes: [
          { type: 'bind', source: '/srv/conf', target: '/etc/app/conf.d/', read_only: true },
          { type: 'volume', source: 'data', target: '/data', volume: { nocopy: true, subpath: 'sub' } },
          { type: 'volume', target: '/scratch' },
        ],
        tmpfs: ['/run:size=64m,mode=755,ro', '/tmp'],
      },
      { Volumes: { '/data': {}, '/var/lib/db/': {} } },
      { volumes: { data: { name: 'shop_data' } } },
    );
    expect(mounts).toEqual([
      { kind: 'volume', volume: 'shop_data', target: '/data', readOnly: false, subpath: 'sub', seed: false },
      { kind: 'tmpfs', target: '/run', readOnly: true, size: 64 * 2 ** 20, mode: 0o755 },
      { kind: 'anonymous', target: '/scratch', readOnly: false },
      { kind: 'tmpfs', target: '/tmp', readOnly: false, size: undefined, mode: undefined },
      { kind: 'bind', source: '/srv/conf', target: '/etc/app/conf.d', readOnly: true, create: true },
      { kind: 'anonymous', target: '/var/lib/db', readOnly: false },
    ]);
  });

  test('a target cannot climb out of the root', () => {
    expect(resolve({ volumes: [{ type: 'volume', target: '/a/../../etc' }] }).mounts[0]?.target).toBe('/etc');
  });

  test('a mount that no machine can have', () => {
    expect(refusal({ volumes: [{ type: 'npipe', target: '/x' }] })).toMatchObject({ code: 'HYPR_UNSUPPORTED' });
    const volumes: Service['volumes'] = [
      { type: 'tmpfs', target: '/t' },
      { type: 'cluster', source: 'c', target: '/x' },
    ];
    // Without an image: before anything is pulled.
    expect(() => refuseUnsupported('web', { volumes })).toThrow(
      expect.objectContaining({
        message: 'service web: mounts of type cluster are not supported',
        path: ['services', 'web', 'volumes', '1'],
        hint: 'use a bind mount or a named volume',
      }),
    );
  });

  test('an image is mounted to be read, a folder of it where the file says so', () => {
    const volumes: Service['volumes'] = [{ type: 'image', source: 'nginx:alpine', target: '/x/', image: { subpath: 'usr/share' } }];
    expect(resolve({ volumes }).mounts).toEqual([
      { kind: 'image', image: 'nginx:alpine', imageId: '', target: '/x', readOnly: true, subpath: 'usr/share' },
    ]);
  });
});

describe('secrets and configs', () => {
  test('a config whose content is empty is an empty file; one that says nothing is refused', () => {
    const spec = resolve({ configs: [{ source: 'none' }] }, {}, { configs: { none: { name: 'none', content: '' } } });
    expect(spec.files).toEqual([{ source: { content: '' }, path: '/none', mode: 0o444, uid: 0, gid: 0 }]);
    expect(refusal({ configs: [{ source: 'none' }] }, { configs: { none: { name: 'none' } } })).toMatchObject({
      code: 'COMPOSE_INVALID',
      message: 'configs.none: one of file|environment|content must be set',
      path: ['configs', 'none'],
    });
  });

  test('places, modes and sources', () => {
    const { files } = resolve(
      {
        secrets: [{ source: 'key' }, { source: 'pass', target: 'db/pass', mode: '0400', uid: '70', gid: '71' }],
        configs: [{ source: 'conf' }, { source: 'conf', target: '/etc/../etc/app.conf' }],
      },
      {},
      {
        secrets: { key: { name: 'key', file: '/srv/key' }, pass: { name: 'pass', environment: 'PASS' } },
        configs: { conf: { name: 'conf', content: 'a=1' } },
      },
    );
    expect(files).toEqual([
      { source: { file: '/srv/key' }, path: '/run/secrets/key', mode: 0o444, uid: 0, gid: 0 },
      { source: { environment: 'PASS' }, path: '/run/secrets/db/pass', mode: 0o400, uid: 70, gid: 71 },
      { source: { content: 'a=1' }, path: '/conf', mode: 0o444, uid: 0, gid: 0 },
      { source: { content: 'a=1' }, path: '/etc/app.conf', mode: 0o444, uid: 0, gid: 0 },
    ]);
  });

  test('external ones do not exist', () => {
    expect(refusal({ secrets: [{ source: 'key' }] }, { secrets: { key: { name: 'key', external: true } } })).toMatchObject({
      code: 'EXTERNAL_NOT_FOUND',
      message: 'service web uses secret key, which is external',
      hint: 'hypr keeps no secrets outside a project: give it a file, a content or an environment variable',
    });
  });
});

describe('networks and ports', () => {
  test('cards by priority; the default route by gw_priority, never through an internal one', () => {
    const { networks } = resolve(
      {
        networks: {
          back: { priority: 10 },
          front: { aliases: ['www', 'web'], ipv4_address: '10.0.0.9' },
          wan: { gw_priority: 5, interface_name: 'wan0' },
        },
      },
      {},
      { networks: { back: { name: 'b', internal: true }, front: { name: 'f' }, wan: { name: 'w' } } },
    );
    expect(
      networks.map(({ key, interfaceName, isDefault, aliases, address }) => [key, interfaceName, isDefault, aliases, address]),
    ).toEqual([
      ['back', 'eth0', false, ['web'], undefined],
      ['front', 'eth1', false, ['web', 'www'], '10.0.0.9'],
      ['wan', 'wan0', true, ['web'], undefined],
    ]);
    expect(resolve({ network_mode: 'none' }).networks).toEqual([]);
  });

  test('ports: fixed, a range, any; exposed ones with their protocol', () => {
    const spec = resolve(
      {
        ports: [
          { target: 80, published: '8080' },
          { target: 81, published: '9000-9002', host_ip: '0.0.0.0' },
          { target: 53, protocol: 'udp' },
        ],
        expose: ['3000'],
      },
      { ExposedPorts: { '3000/tcp': {}, '53/udp': {} } },
    );
    expect(spec.ports).toEqual([
      { protocol: 'tcp', hostAddress: '', hostPorts: [8080, 8080], port: 80 },
      { protocol: 'tcp', hostAddress: '0.0.0.0', hostPorts: [9000, 9002], port: 81 },
      { protocol: 'udp', hostAddress: '', hostPorts: [0, 0], port: 53 },
    ]);
    expect(spec.exposed).toEqual(['3000/tcp', '53/udp']);
    expect(refusal({ ports: [{ target: 1, protocol: 'sctp' }] }).message).toBe(
      'port 1/sctp cannot be published: the network carries TCP and UDP',
    );
  });

  test('what an image exposes is published only where it is a range of ports', () => {
    const exposed = ['80/tcp', '7-9/udp', '65535/tcp', '1-4000000000/tcp', '0-2/tcp', '65536/tcp', '20-10/tcp'];
    const { ports } = resolve({ [PUBLISH_ALL]: true }, { ExposedPorts: Object.fromEntries(exposed.map((port) => [port, {}])) });
    const published = ports.map(({ port, protocol }) => `${port}/${protocol}`);
    expect(published.sort()).toEqual(['65535/tcp', '7/udp', '8/udp', '80/tcp', '9/udp']);
  });

  test('extra hosts in both ways of writing, IPv6 as well', () => {
    expect(resolve({ extra_hosts: ['a=10.0.0.1', 'b:10.0.0.2', 'c=::1'] }).extraHosts).toEqual([
      { address: '10.0.0.1', names: ['a'] },
      { address: '10.0.0.2', names: ['b'] },
      { address: '::1', names: ['c'] },
    ]);
  });
});

describe('what a machine cannot have is refused with the reason', () => {
  test.each<[string, Service, string]>([
    [
      'network_mode',
      { network_mode: 'host' },
      'service web: network_mode: host is not supported: every service has a machine and a network of its own',
    ],
    ['network_mode', { network_mode: 'container:db' }, 'every service has a machine and a network of its own'],
    ['ipc', { ipc: 'service:db' }, 'needs the machine of db'],
    ['ipc', { network_mode: 'service:db', ipc: 'service:web' }, 'it is in the machine of db'],
    ['pre_start', { network_mode: 'service:db', pre_start: [{ command: ['x'] }] }, 'for a service in the machine of db'],
    ['ipc', { ipc: 'host' }, 'services do not share a kernel'],
    ['pid', { pid: 'host' }, 'services do not share a kernel'],
    ['volumes_from', { volumes_from: ['container:db'] }, 'it names no service of this file'],
    ['devices', { devices: [{ source: '/dev/fuse' }] }, 'a machine has /dev/kvm and whole PCI cards of the host'],
    ['gpus', { network_mode: 'service:db', gpus: [{ count: 'all' }] }, 'for a service in the machine of db'],
    ['gpus', { gpus: [{ capabilities: ['tpu'] }] }, 'no device has the capability tpu here'],
    ['gpus', { gpus: [{ driver: 'cdi' }] }, 'there is no driver cdi'],
    ['gpus', { gpus: [{ driver: 'toString' }] }, 'there is no driver toString'],
    ['gpus', { gpus: [{ device_ids: ['GPU-3a23c669'] }] }, 'GPU-3a23c669 names no card'],
    ['external_links', { external_links: ['other:db'] }, 'machines reach those of their own stack only'],
    ['credential_spec', { credential_spec: { file: 'x' } }, 'that is for Windows containers'],
    ['use_api_socket', { use_api_socket: true }, 'the credentials of this user'],
  ])('%s', (attribute, service, text) => {
    const error = refusal(service);
    expect(error.code).toBe('HYPR_UNSUPPORTED');
    expect(error.message).toContain(`service web: ${attribute}`);
    expect(error.path?.slice(0, 3)).toEqual(['services', 'web', attribute]);
    expect(error.message).toContain(text);
    expect(error.message).not.toContain('[object Object]');
    expect(error.hint).toMatch(/\S/);
  });

  test.each<[Service, string]>([
    [{ pid: 'service:db' }, 'remove pid, and run a program that must see or signal those of db in it: hypr exec db …'],
    [{ pid: 'host' }, 'remove pid'],
    [
      { network_mode: 'container:db-1' },
      'db-1 is no container of this file: take its file in with include: and write network_mode: service:NAME',
    ],
    [{ network_mode: 'host' }, 'ports publishes what the host should reach'],
    [{ ipc: 'host' }, 'shm_size makes /dev/shm larger'],
    [{ external_links: ['other:db'] }, 'hypr network create NAME'],
    [{ network_mode: 'service:db', pid: 'service:db' }, 'remove pid'],
  ])('%j says what to write instead', (service, text) => {
    expect(refusal(service).hint).toContain(text);
  });

  test.each<[Service, unknown]>([
    [{ gpus: [{ count: 'all', capabilities: ['gpu'] }] }, [{ gpus: 'all' }]],
    [{ gpus: [{ driver: 'nvidia', count: 2 }] }, [{ gpus: 2, vendor: 0x10de }]],
    [{ gpus: [{ count: -1, capabilities: ['gpu'] }] }, [{ gpus: 'all' }]],
    [{ gpus: [{ count: '1' }] }, [{ gpus: 1 }]],
    [{ gpus: [{ count: 0 }] }, undefined],
    [{ gpus: [{ device_ids: ['1', '01:00.0'] }] }, [{ nth: 1 }, { address: '0000:01:00.0' }]],
    [
      { deploy: { resources: { reservations: { devices: [{ capabilities: ['gpu'], driver: 'nvidia' }] } } } } as Service,
      [{ gpus: 'all', vendor: 0x10de }],
    ],
    [{ 'x-hypr': { pci: ['02:00.0'] } }, [{ address: '0000:02:00.0' }]],
    [{}, undefined],
  ])('%j has the cards %j', (service, cards) => {
    expect(resolve(service).cards).toEqual(cards);
  });

  test('/dev/kvm is no device of the host', () => {
    expect(resolve({ devices: [{ source: '/dev/kvm', target: '/dev/kvm' }] }).nested).toBe(true);
    expect(resolve({ 'x-hypr': { nested: true } }).nested).toBe(true);
    expect(resolve({})).not.toHaveProperty('nested');
    expect(refusal({ devices: [{ source: '/dev/kvm' }, { source: '/dev/fuse' }] }).message).toContain('not its device files');
  });

  test('are not named when they only say the default', () => {
    expect(resolve({ network_mode: 'bridge', ipc: 'private', devices: [], volumes_from: [], post_start: [] }).name).toBe('shop-web-1');
  });
});

describe('network_mode: service:X', () => {
  const joined = (service: Service, others: Record<string, Service>) => {
    const project = projectOf({ web: { network_mode: 'service:db', networks: undefined as never, ...service }, ...others });
    return resolveReplica({ project, service: 'web', number: 1, image: { reference: 'web:1', config: RUNTIME } });
  };

  test('has the machine of the first replica of the other, over any number of steps, and no network of its own', () => {
    expect(joined({}, { db: {} })).toMatchObject({ networks: [], shares: { service: 'db', replica: 'shop-db-1' } });
    expect(joined({ ipc: 'service:db' }, { db: { container_name: 'own' } }).shares).toEqual({ service: 'db', replica: 'own', ipc: true });
    expect(joined({}, { db: { network_mode: 'service:vpn' }, vpn: {} }).shares).toEqual({ service: 'vpn', replica: 'shop-vpn-1' });
  });

  test.each<[string, Service]>([
    ['ports', { ports: [{ target: 80, published: '80' }] }],
    ['hostname', { hostname: 'x' }],
    ['links', { links: ['db'] }],
    ['dns', { dns: ['9.9.9.9'] }],
    ['extra_hosts', { extra_hosts: ['a=1.2.3.4'] }],
    ['mac_address', { mac_address: '02:00:00:00:00:01' }],
  ])('refuses %s with its place, which belongs to the network', (key, service) => {
    const error = refusal({ network_mode: 'service:db', ...service });
    expect([error.code, error.path, error.message]).toEqual([
      'COMPOSE_INVALID',
      ['services', 'web', key],
      expect.stringContaining('conflicting options: '),
    ]);
  });
});

describe('storage_opt', () => {
  test('is what the writable layer can hold, and counts where it is given', () => {
    expect(resolve({ storage_opt: { size: '10G' } }).diskMib).toBe(10_240);
    expect(resolve({})).not.toHaveProperty('diskMib');
    expect(ineffectiveAttributes(projectOf({ web: { storage_opt: { size: '10G' } } }), 'web')).toEqual([]);
  });

  test.each([
    [{ size: '1m' }, 'the disk of service web: its size is 1m, and must be 16m at least'],
    [{ size: '10g', inodes: '5' }, 'service web: storage_opt has no option inodes'],
  ])('%j is refused', (storage_opt, message) => {
    expect(refusal({ storage_opt })).toMatchObject({ code: 'COMPOSE_INVALID', message: expect.stringContaining(message) });
  });
});

describe('driver_opts of a volume', () => {
  const mountOf = (driver_opts: Record<string, string>, mount: object = {}) =>
    resolve(
      { volumes: [{ type: 'volume', source: 'data', target: '/data', ...mount }] },
      {},
      { volumes: { data: { name: 'shop_data', driver: 'local', driver_opts } } },
    ).mounts[0];

  test.each<[string, Record<string, string>, object]>([
    [
      'a folder of the host',
      { type: 'none', o: 'bind', device: '/srv/data' },
      { kind: 'bind', source: '/srv/data', readOnly: false, seed: true },
    ],
    ['one to be read', { type: 'none', o: 'ro,bind', device: '/srv' }, { kind: 'bind', source: '/srv', readOnly: true }],
    ['memory', { type: 'tmpfs', device: 'tmpfs', o: 'size=64m,uid=7,mode=1777' }, { kind: 'tmpfs', size: 64 << 20, mode: 0o1777 }],
    ['nothing of that', { size: '10g' }, { kind: 'volume', volume: 'shop_data' }],
  ])('%s', (_, options, mount) => {
    expect(mountOf(options)).toMatchObject({ target: '/data', ...mount });
  });

  test('a folder must be there, and nothing leads out of it', () => {
    const options = { type: 'none', o: 'bind', device: '/srv/data' };
    expect(mountOf(options, { volume: { nocopy: true, subpath: '../../etc' } })).toEqual({
      kind: 'bind',
      source: '/srv/data/etc',
      target: '/data',
      readOnly: false,
      create: false,
    });
  });

  test.each<[Record<string, string>, string, string]>([
    [{ type: 'nfs', o: 'addr=10.0.0.1,rw', device: ':/export' }, 'HYPR_UNSUPPORTED', 'volume shop_data: hypr does not mount nfs :/export'],
    [{ type: 'none', o: 'bind', device: 'data' }, 'COMPOSE_INVALID', 'must be a folder of this host, not "data"'],
  ])('%j is refused', (options, code, text) => {
    expect(() => mountOf(options)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(text) }));
  });

  test.each([
    [{ size: '10g' }, 10_240],
    [{ o: 'size=16m' }, 16],
    [{ size: '1610612736' }, 1536],
    [{}, undefined],
  ])('a size: %j', (driver_opts, sizeMib) => {
    expect(volumeDevice({ name: 'v', driver_opts })).toEqual(sizeMib === undefined ? { kind: 'own' } : { kind: 'own', sizeMib });
  });

  test.each(['15m', '16t', '-1', '0', 'much', ''])('a size of "%s" is refused', (size) => {
    expect(() => volumeDevice({ name: 'v', driver_opts: { size } })).toThrowError(expect.objectContaining({ code: 'COMPOSE_INVALID' }));
  });

  test('such a volume is not made', () => {
    const project = projectOf(
      { web: { volumes: [{ type: 'volume', source: 'data', target: '/data' }] } },
      { volumes: { data: { name: 'shop_data', driver_opts: { o: 'bind', device: '/srv' } } } },
    );
    expect(volumesOf(project, 'web')).toEqual([]);
  });
});

test('links with another name are names of this replica alone', () => {
  expect(resolve({ links: ['db', 'db:database', 'cache:cache', 'cache:store'] }).links).toEqual({ database: 'db', store: 'cache' });
  expect('links' in resolve({ links: ['db'] })).toBe(false);
});

describe('ineffective attributes', () => {
  const found = (service: Service, more: Partial<Project> = {}) => ineffectiveAttributes(projectOf({ web: service }, more), 'web');

  test('are each named, with their value', () => {
    const service = {
      pids_limit: 10,
      cpu_shares: 5,
      cpuset: '0',
      runtime: 'runsc',
      logging: { driver: 'syslog' },
      security_opt: ['label:disable', 'seccomp:profile.json'],
      deploy: { resources: { limits: { pids: 5 } } },
    };
    const names = ['cpu_shares', 'cpuset', 'logging', 'pids_limit', 'runtime', 'security_opt', 'deploy.resources.limits.pids'];
    expect(found(service)).toEqual(names);
  });

  test('is not what says the default, or is met by a machine', () => {
    const service = {
      pids_limit: -1,
      runtime: 'runc',
      logging: { driver: 'json-file', options: { 'max-size': '1m' } },
      security_opt: ['seccomp:unconfined', 'apparmor=unconfined'],
      oom_kill_disable: false,
      userns_mode: 'host',
      blkio_config: {},
      init: true,
      networks: { default: null },
    };
    expect(found(service as Service)).toEqual([]);
    expect(ineffectiveAttributes(projectOf({}), 'gone')).toEqual([]);
  });
});

describe('the hash of a service', () => {
  const hashOf = async (service: Service, more: Partial<Project> = {}): Promise<string> => {
    const desired = await describeDesired({
      project: projectOf({ web: service }, more),
      services: ['web'],
      images: { web: imageOf() },
      scale: {},
    });
    return desired.services.web?.configHash ?? '';
  };

  test('scale, build, profiles, dependencies and the image’s name are not', async () => {
    const plain = await hashOf({});
    const same: Service[] = [
      { scale: 3 },
      { build: { context: '.' } },
      { profiles: ['x'] },
      { pull_policy: 'always' },
      { image: 'other:1' },
    ];
    expect(new Set(await Promise.all(same.map((service) => hashOf(service))))).toEqual(new Set([plain]));
  });

  test('changes when anything else of the service does', async () => {
    const changed: Service[] = [
      {},
      { command: ['x'] },
      { environment: { A: '1' } },
      { labels: { a: 'b' } },
      { restart: 'always' },
      { mem_limit: '1' },
    ];
    expect(new Set(await Promise.all(changed.map((service) => hashOf(service)))).size).toBe(changed.length);
  });

  test('so is the content of a secret’s file', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'hypr-secret-'));
    onTestFinished(() => rmSync(dir, { recursive: true }));
    const file = join(dir, 'key');
    const hash = () => hashOf({ secrets: [{ source: 'key' }] }, { secrets: { key: { name: 'key', file } } });
    const missing = await hash();
    writeFileSync(file, 'one');
    const one = await hash();
    writeFileSync(file, 'two');
    expect(new Set([missing, one, await hash()]).size).toBe(3);
  });

  test('deploy.replicas counts where scale is not given; --scale over both', async () => {
    const scaleOf = async (service: Service, scale: Record<string, number> = {}) => {
      const input = { project: projectOf({ web: service }), services: ['web'], images: { web: imageOf() }, scale };
      return (await describeDesired(input)).services.web?.scale;
    };
    expect(await scaleOf({ deploy: { replicas: 2 } })).toBe(2);
    expect(await scaleOf({ scale: 4 })).toBe(4);
    expect(await scaleOf({ scale: 4 }, { web: 0 })).toBe(0);
  });
});
