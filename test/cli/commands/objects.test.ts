import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { homePaths } from '../../../base/paths.ts';
import { NO_COMPOSE_FILE } from '../../../compose/files/file-names.ts';
import { serviceHashes } from '../../../compose/index.ts';
import type { Service } from '../../../compose/model/model.ts';
import { openObjects } from '../../../engine/client/objects.ts';
import type { ReplicaStatus } from '../../../engine/model/events.ts';
import type { EngineApi, ReplicaDetail } from '../../../engine/model/types.ts';
import { ANONYMOUS_LABEL } from '../../../engine/model/volume-name.ts';
import { openTestStack, shopOf } from '../../engine/support/stack.ts';
import { fakeContext, run } from '../support/fake-context.ts';
import { replica } from '../support/fake-engine.ts';

const DB: Service = {
  volumes: [{ type: 'volume', source: 'data', target: '/data' }],
  healthcheck: { test: ['CMD', 'ok'] },
  environment: { A: 'one' },
  labels: { tier: 'low' },
  ports: [{ target: 5432, published: '15432' }],
  expose: ['9000'],
};

/** A stack that is up, on the fake host, and the CLI over its database. */
const openShop = async () => {
  const stack = openTestStack();
  const volumes = { data: { name: 'shop_data', labels: { team: 'a' } } };
  await stack.up(shopOf(stack, { db: DB, web: {} }, { volumes }));
  const paths = homePaths(join(stack.dir, 'home'));
  const type = async (line: string) => {
    const context = fakeContext({ engine: { openObjects: async () => openObjects(paths) } });
    const code = await run(context, line);
    return { code, out: context.stdout.text, err: context.stderr.text };
  };
  return { stack, type, paths };
};

describe('volume', () => {
  test('ls: docker’s table, names, JSON, templates, filters', async () => {
    const { type } = await openShop();
    await type('volume create --label team=b spare');
    expect((await type('volume ls')).out).toBe('DRIVER    VOLUME NAME\nlocal     shop_data\nlocal     spare\n');
    expect((await type('volume list -q')).out).toBe('shop_data\nspare\n');
    expect((await type('volume ls -q --filter dangling=true')).out).toBe('spare\n');
    expect((await type('volume ls -q --filter label=team=a')).out).toBe('shop_data\n');
    expect((await type('volume ls -q --filter label=com.docker.compose.project=shop')).out).toBe('shop_data\n');
    expect((await type('volume ls -q --filter name=sp --filter name=x')).out).toBe('spare\n');
    expect((await type('volume ls -q --filter name=^spare$')).out).toBe('spare\n');
    expect((await type('volume ls -q --filter name=^par')).out).toBe('');
    expect((await type('volume ls --filter name=(')).err).toContain('not a regular expression');
    expect((await type('volume ls --filter size=3')).err).toContain('--filter does not know "size=3"');
    expect((await type('volume ls --filter dangling=perhaps')).err).toContain('neither true nor false');
    const [first] = (await type('volume ls --format json')).out.split('\n');
    expect(JSON.parse(first ?? '')).toMatchObject({ Name: 'shop_data', Driver: 'local', Scope: 'local', Links: '1' });
    expect((await type("volume ls --format '{{.Name}}'")).out).toBe('shop_data\nspare\n');
  });

  test('inspect tells where it is and who has it, and what is not there afterwards', async () => {
    const { type, paths } = await openShop();
    const { code, out, err } = await type('volume inspect shop_data nothing');
    expect(code).toBe(1);
    expect(err).toContain('there is no volume nothing');
    expect(JSON.parse(out)).toEqual([
      {
        CreatedAt: expect.stringMatching(/^\d{4}-.*Z$/),
        Driver: 'local',
        Labels: { team: 'a', 'com.docker.compose.project': 'shop', 'com.docker.compose.volume': 'data' },
        Mountpoint: join(paths.volumes, 'shop_data', 'data.ext4'),
        Name: 'shop_data',
        Options: null,
        Scope: 'local',
        UsedBy: ['shop-db-1'],
      },
    ]);
  });

  test('rm leaves one that a replica has, running or not, and removes the others with their data', async () => {
    const { type, stack, paths } = await openShop();
    await type('volume create spare');
    expect(existsSync(join(paths.volumes, 'spare', 'data'))).toBe(true);
    await stack.verb('stop');
    const { code, out, err } = await type('volume rm shop_data spare');
    expect([code, out]).toEqual([1, 'spare\n']);
    expect(err).toContain('volume shop_data is used by shop-db-1 of the stack shop, which is exited');
    expect(existsSync(join(paths.volumes, 'spare'))).toBe(false);
    expect((await type('volume rm spare')).err).toContain('there is no volume spare');
    expect((await type('volume rm -f spare')).code).toBe(0);
    await stack.down();
    expect(await type('volume rm shop_data')).toEqual({ code: 0, out: 'shop_data\n', err: '' });
    expect(existsSync(join(paths.volumes, 'shop_data'))).toBe(false);
  });

  test('one that was made by hand is the external volume of a stack, which does not remove it', async () => {
    const { type, stack } = await openShop();
    expect((await type('volume create kept')).out).toBe('kept\n');
    expect((await type('volume create kept')).code).toBe(0);
    const volumes = { kept: { name: 'kept', external: true } };
    await stack.up(shopOf(stack, { web: { volumes: [{ type: 'volume', source: 'kept', target: '/k' }] } }, { volumes }));
    expect((await type('volume rm kept')).err).toContain('is used by shop-web-1');
    await stack.down({ volumes: true });
    expect((await type('volume ls -q')).out).toContain('kept\n');
  });

  test.each([
    ['volume create ../x', 'volume name "../x" is not valid'],
    ['volume create -d nfs x', 'docker plug-ins are not loaded'],
    ['volume create -o type=nfs x', 'driver_opts'],
    ['volume prune', 'hypr volume prune --force'],
  ])('%s is refused', async (line, why) => {
    const { type } = await openShop();
    const { code, err } = await type(line);
    expect(code).toBe(1);
    expect(err).toContain(why);
  });

  test('volume prune --filter: by labels, and all of them', async () => {
    const context = fakeContext();
    expect(await run(context, 'volume prune -f --filter label=x --filter all=1')).toBe(0);
    // Those of stacks that are gone have no labels.
    expect(context.fake.call('prune')).toBeUndefined();
    expect(context.stdout.text).toContain('old_data');
    const others = fakeContext();
    expect(await run(others, 'volume prune -f --filter label!=x')).toBe(0);
    expect(others.fake.call('prune')?.args).toMatchObject([{ volumes: true }]);
  });

  test('prune takes anonymous volumes that no replica has, with -a those with a name, too', async () => {
    const context = fakeContext();
    expect(await run(context, 'volume prune -f')).toBe(0);
    expect(context.stdout.text).toBe('Deleted Volumes:\nf00d\n\nTotal reclaimed space: 2.2MB\n');
    const all = fakeContext();
    expect(await run(all, 'volume prune -a -f')).toBe(0);
    expect(all.stdout.text).toBe('Deleted Volumes:\nold_data\n\nTotal reclaimed space: 3.2MB\n');
    const { type, stack } = await openShop();
    await type('volume create spare');
    await type(`volume create left --label ${ANONYMOUS_LABEL}=`);
    const objects = openObjects(homePaths(join(stack.dir, 'home')));
    expect((await objects.pruneVolumes({ all: true, matches: ({ name }) => name === 'none' })).names).toEqual([]);
    expect((await objects.pruneVolumes({ all: false })).names).toEqual(['left']);
    expect((await objects.pruneVolumes({ all: true })).names).toEqual(['spare']);
  });
});

describe('network', () => {
  test('ls and inspect', async () => {
    const { type } = await openShop();
    const { out } = await type('network ls');
    expect(out).toMatch(
      /^NETWORK ID {5}NAME {11}DRIVER {4}SCOPE\n0{12} {3}bridge {9}bridge {4}local\n[0-9a-f]{12} {3}shop_default {3}bridge {4}local\n$/,
    );
    const id = (await type('network ls -q --no-trunc --filter type=custom')).out.trim();
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    const [network] = JSON.parse((await type(`network inspect ${id.slice(0, 12)}`)).out);
    expect(network).toMatchObject({
      Name: 'shop_default',
      Id: id,
      Driver: 'gvproxy',
      Scope: 'local',
      Internal: false,
      Labels: { 'com.docker.compose.project': 'shop', 'com.docker.compose.network': 'default' },
    });
    expect(network.IPAM.Config).toEqual([{ Subnet: '192.168.128.0/24', Gateway: '192.168.128.1' }]);
    const members = Object.values(network.Containers) as Array<{ Name: string; IPv4Address: string }>;
    expect(members.map(({ Name }) => Name).sort()).toEqual(['shop-db-1', 'shop-web-1']);
    // Whoever boots first has the first: both do at the same time.
    expect(members.map(({ IPv4Address }) => IPv4Address).sort()).toEqual(['192.168.128.3/24', '192.168.128.4/24']);
    expect((await type('network inspect nothing')).err).toContain('network nothing not found');
  });

  test('the default network is there before anybody has used it', async () => {
    const { type } = await openShop();
    expect(JSON.parse((await type('network inspect bridge')).out)).toMatchObject([
      {
        Name: 'bridge',
        Id: '000000000000',
        Created: '0001-01-01T00:00:00Z',
        Driver: 'gvproxy',
        IPAM: { Config: [{ Subnet: '192.168.127.0/24', Gateway: '192.168.127.1' }] },
        Containers: {},
      },
    ]);
  });

  test('create makes one with what was asked for, rm and prune remove it', async () => {
    const { type } = await openShop();
    const { out } = await type(
      'network create --subnet 10.90.0.0/16 --gateway 10.90.0.9 --ip-range 10.90.7.0/24 --aux-address printer=10.90.7.1 --internal --label team=a -o com.docker.network.driver.mtu=1400 front',
    );
    expect(out).toMatch(/^[0-9a-f]{64}\n$/);
    const [front] = JSON.parse((await type('network inspect front')).out);
    expect(front).toMatchObject({
      Id: out.trim(),
      Internal: true,
      EnableIPv6: false,
      IPAM: {
        Config: [{ Subnet: '10.90.0.0/16', IPRange: '10.90.7.0/24', Gateway: '10.90.0.9', AuxiliaryAddresses: { printer: '10.90.7.1' } }],
      },
      Options: { 'com.docker.network.bridge.name': 'vbr1', 'com.docker.network.driver.mtu': '1400' },
      Labels: { team: 'a' },
    });
    await type('network create --ipv6 --subnet fd12:3456:789a::/64 six');
    const [six] = JSON.parse((await type('network inspect six')).out);
    expect(six).toMatchObject({
      EnableIPv6: true,
      IPAM: { Config: [expect.anything(), { Subnet: 'fd12:3456:789a::/64', Gateway: 'fd12:3456:789a::1' }] },
    });
    // Not the default network's, the stack's or another's.
    expect(six.IPAM.Config[0]).toEqual({ Subnet: '192.168.129.0/24', Gateway: '192.168.129.1' });
    expect((await type('network ls -q --filter label=team=a')).out).toBe(`${out.slice(0, 12)}\n`);
    expect((await type(`network rm ${out.slice(0, 12)}`)).out).toBe(`${out.slice(0, 12)}\n`);
    expect((await type('network prune -f --filter label=team=a')).out).toBe('');
    expect((await type('network prune -f --filter until=1h')).out).toBe('');
    expect((await type('network prune -f')).out).toBe('Deleted Networks:\nsix\n\n');
  });

  test.each([
    ['network create bridge', 'network with name bridge already exists'],
    ['network create shop_default', 'it belongs to the stack shop'],
    ['network create host', 'cannot be the name of a network'],
    ['network create a/b', 'cannot be the name of a network'],
    ['network create -d overlay x', '--driver overlay is not supported'],
    ['network create -o com.docker.network.bridge.enable_icc=false x', 'put them on different networks'],
    ['network create --subnet 10.1.0.0/33 x', 'is not an IPv4 subnet'],
    ['network create --subnet 192.168.127.0/25 x', 'overlaps 192.168.127.0/24'],
    ['network create --subnet fd00::/64 x', 'needs --ipv6'],
    ['network create --gateway 10.1.0.1 x', 'need a --subnet'],
    ['network create --subnet 10.1.0.0/24 --ip-range 10.2.0.0/28 x', 'is not inside the subnet'],
    ['network create --subnet 10.1.0.0/24 --aux-address a=10.2.0.9 x', "10.2.0.9 is not in the network's subnet"],
    ['network create --subnet 10.1.0.0/24 --aux-address a=10.1.0.1 x', "the network's, gateway's"],
    ['network create --ipv6 --subnet 10.1.0.0/24 --subnet fd00::/64 --aux-address a=fd01::9 x', "fd01::9 is not in the network's subnet"],
    ['network create --subnet 10.1.0.0/24 --aux-address 10.1.0.9 x', '"10.1.0.9" is not NAME=VALUE'],
    ['network create --label =x x', '"=x" is not KEY=VALUE: it has no key'],
    ['volume create --label =x x', '"=x" is not KEY=VALUE'],
    ['network rm bridge', 'bridge is a pre-defined network and cannot be removed'],
    ['network rm shop_default', 'belongs to the stack shop'],
    ['network rm nothing', 'network nothing not found'],
    ['network capture nothing -w x', 'network nothing not found'],
    ['network capture bridge -w x', 'does not run'],
    ['network ls --filter type=x', 'neither builtin nor custom'],
  ])('%s is refused', async (line, why) => {
    const { type } = await openShop();
    const { code, err } = await type(line);
    expect(code).toBe(1);
    expect(err).toContain(why);
  });

  test('inspect has the mounts, the address that was asked for, and the hash that config --hash prints', async () => {
    const stack = openTestStack();
    const networks = { default: { name: 'shop_default', ipam: { config: [{ subnet: '10.77.0.0/24' }] } } };
    const project = shopOf(
      stack,
      { db: { ...DB, networks: { default: { ipv4_address: '10.77.0.9' } } }, web: {} },
      { volumes: { data: { name: 'shop_data' } }, networks },
    );
    await stack.up(project);
    const context = fakeContext({ engine: { openObjects: async () => openObjects(homePaths(join(stack.dir, 'home'))) } });
    await run(context, 'inspect shop-db-1 shop-web-1');
    const [db, web] = JSON.parse(context.stdout.text);
    expect(db.Mounts).toMatchObject([{ Type: 'volume', Name: 'shop_data', Destination: '/data', Mode: 'z', RW: true }]);
    expect(db.NetworkSettings.Networks.shop_default).toMatchObject({ IPAMConfig: { IPv4Address: '10.77.0.9' }, IPAddress: '10.77.0.9' });
    expect(web.NetworkSettings.Networks.shop_default.IPAMConfig).toBeNull();
    const hashes = Object.fromEntries(serviceHashes(project).map(({ name, hash }) => [name, hash]));
    expect(db.Config.Labels['com.docker.compose.config-hash']).toBe(hashes.db);
    expect(web.Config.Labels['com.docker.compose.config-hash']).toBe(hashes.web);
  });

  test('connect and disconnect change a stopped replica', async () => {
    const { type, stack } = await openShop();
    await type('network create --subnet 10.91.0.0/24 front');
    await stack.verb('stop');
    expect(await type('network connect --ip 10.91.0.7 --alias data front shop-db-1')).toEqual({ code: 0, out: '', err: '' });
    expect((await type('network connect front shop-db-1')).err).toContain('endpoint with name shop-db-1 already exists in network front');
    const [db] = JSON.parse((await type('inspect shop-db-1')).out);
    expect(Object.keys(db.NetworkSettings.Networks).sort()).toEqual(['front', 'shop_default']);
    expect(db.NetworkSettings.Networks.front).toMatchObject({ IPAddress: '10.91.0.7' });
    expect((await type('network connect --ip 10.91.0.7 front shop-web-1')).err).toContain('already in use');
    expect((await type('network disconnect front shop-web-1')).err).toContain('container shop-web-1 is not connected to network front');
    expect((await type('network disconnect shop_default shop-db-1')).code).toBe(0);
    expect(stack.store.vms('shop').find(({ name }) => name === 'shop-db-1')?.spec.networks).toMatchObject([
      { key: 'external:front', isDefault: true, interfaceName: 'eth1', aliases: ['db', 'data'] },
    ]);
    expect((await type('network rm front')).err).toContain('has active endpoints: shop-db-1');
    expect((await type('network connect front nobody')).err).toContain('there is no replica nobody');
  });

  test('one that is in use is kept, unless forced', async () => {
    const { type, stack } = await openShop();
    await type('network create front');
    await stack.up(shopOf(stack, { db: { networks: { front: null } } }, { networks: { front: { name: 'front', external: true } } }));
    expect((await type('network rm front')).err).toContain('network front has active endpoints: shop-db-1');
    expect((await type('network prune -f')).out).toBe('');
    const [front] = JSON.parse((await type('network inspect front')).out);
    expect(Object.values(front.Containers)).toMatchObject([{ Name: 'shop-db-1', IPv4Address: expect.stringContaining('.3/24') }]);
    expect((await type('network rm nothing nowhere')).err).toMatch(/2 networks were not removed.*NOT_FOUND/);
    expect((await type('network rm --force front nothing')).out).toBe('front\n');
    expect((await type('network ls -q --filter name=front')).out).toBe('');
  });
});

describe('inspect', () => {
  test('a replica with docker’s keys', async () => {
    const { type, stack } = await openShop();
    const [db] = JSON.parse((await type('inspect shop-db-1')).out);
    const row = stack.row('shop-db-1');
    expect(db).toMatchObject({
      Id: row.id,
      Name: '/shop-db-1',
      Image: row.imageId,
      State: { Status: 'running', Running: true, ExitCode: 0, Health: { Status: expect.stringMatching(/starting|healthy/) } },
      Mounts: [{ Type: 'volume', Name: 'shop_data', Destination: '/data', RW: true }],
      Config: { Labels: { tier: 'low', 'com.docker.compose.service': 'db' }, StopSignal: 'SIGTERM', ExposedPorts: { '9000/tcp': {} } },
    });
    expect(db.Config.Env).toContain('A=one');
    expect(db.NetworkSettings.Ports).toEqual({ '9000/tcp': null, '5432/tcp': [{ HostIp: '127.0.0.1', HostPort: '15432' }] });
    expect(db.NetworkSettings.Networks.shop_default).toMatchObject({
      IPAddress: expect.stringMatching(/^192\.168\.128\.[34]$/),
      IPPrefixLen: 24,
      Aliases: ['db'],
      DNSNames: ['shop-db-1', 'db'],
    });
  });

  test('a machine whose service has its own name has no other alias', async () => {
    const { stack, type } = await openShop();
    await stack.up(shopOf(stack, { solo: { container_name: 'solo' } }));
    const [solo] = JSON.parse((await type('inspect solo')).out);
    expect(solo.NetworkSettings.Networks.shop_default).toMatchObject({ Aliases: null, DNSNames: ['solo'] });
  });

  test.each([
    ["'{{.State.Status}}'", 'running\n'],
    ["'{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'", expect.stringMatching(/^192\.168\.128\.[34]\n$/)],
    ['\'{{(index (index .NetworkSettings.Ports "5432/tcp") 0).HostPort}}\'', '15432\n'],
    ['\'{{index .Config.Labels "com.docker.compose.project"}}\'', 'shop\n'],
    ["'{{json .Mounts}}'", expect.stringContaining('"Name":"shop_data"')],
  ])('-f %s', async (template, text) => {
    const { type } = await openShop();
    expect((await type(`inspect -f ${template} shop-db-1`)).out).toEqual(text);
  });

  test.each([
    ['{{.Config.Healthcheck}} {{json .Config.Healthcheck}}', '<nil> null'],
    ['{{.State.Health}}{{if .State.Health}} {{.State.Health.Status}}{{end}}', '<nil>'],
    ['{{.HostConfig.RestartPolicy}} {{.HostConfig.RestartPolicy.Name}}', '{no 0} no'],
    ['{{.NetworkSettings.Ports}} {{json .NetworkSettings.Ports}}', 'map[] {}'],
    ['{{.Mounts}} {{json .Mounts}} {{len .Mounts}}', '[] [] 0'],
    ['{{.HostConfig.Links}} {{json .HostConfig.Links}} {{range .HostConfig.Links}}x{{else}}none{{end}}', '[] null none'],
    ['{{.HostConfig.PidMode}}|{{.HostConfig.OomScoreAdj}}|{{.HostConfig.PidsLimit}}|{{.Config.Entrypoint}}', '|0|<nil>|[]'],
    ['{{.NetworkSettings.IPAddress}}|{{.HostConfig.LogConfig}}', '|{json-file map[]}'],
    ['{{.HostConfig.NanoCPUs}} {{.HostConfig.DNS}} {{.ID}}', expect.stringMatching(/^0 \[\] [0-9a-f]{64}\n$/)],
  ])('-f %s of one that has nothing of it, as docker prints it', async (template, text) => {
    const { type } = await openShop();
    const expected = typeof text === 'string' ? `${text}\n` : text;
    expect((await type(`inspect -f '${template}' shop-web-1`)).out).toEqual(expected);
  });

  test.each([
    ['{{.NetworkSettings.Ports}}', 'map[5432/tcp:[{127.0.0.1 15432}] 9000/tcp:[]]'],
    ['{{range .Mounts}}{{.}}{{end}}', expect.stringMatching(/^\{volume shop_data \S+ \/data local z true \}\n$/)],
  ])('-f %s of one that has some, as docker prints it', async (template, text) => {
    const { type } = await openShop();
    const expected = typeof text === 'string' ? `${text}\n` : text;
    expect((await type(`inspect -f '${template}' shop-db-1`)).out).toEqual(expected);
  });

  test('-f of a field within what is not there fails, after an empty line; the others are printed', async () => {
    const { type } = await openShop();
    const alone = await type("inspect -f '{{.State.Health.Status}}' shop-web-1");
    expect(alone).toMatchObject({ code: 1, out: '\n' });
    const both = await type("inspect -f '{{.State.Health.Status}}' shop-web-1 shop-db-1");
    expect(both).toMatchObject({ code: 1, out: expect.stringMatching(/^(starting|healthy)\n$/) });
    expect((await type('inspect --format json shop-web-1')).out).toMatch(/^\[\{"Id":"[^\n]+\]\n$/);
  });

  test('by the beginning of an id, of any kind, or of one', async () => {
    const { type, stack } = await openShop();
    const { id } = stack.row('shop-web-1');
    expect((await type(`container inspect -f '{{.Name}}' ${id.slice(0, 12)}`)).out).toBe('/shop-web-1\n');
    expect((await type('inspect -f {{.Name}} shop_data')).out).toBe('shop_data\n');
    expect((await type('inspect --type network -f {{.Driver}} shop_default')).out).toBe('gvproxy\n');
    const { code, out, err } = await type('inspect --type volume shop-db-1');
    expect([code, out]).toEqual([1, '[]\n']);
    expect(err).toContain('there is no volume shop-db-1');
    expect((await type('inspect --type pod x')).err).toContain('--type does not know "pod"');
  });
});

describe('docker’s commands on machines of all stacks', () => {
  test('ps by label and by part of a name, one-offs and stopped ones with -a', async () => {
    const { type, stack } = await openShop();
    expect((await type('ps --filter label=com.docker.compose.project=shop --format {{.Names}}')).out.split('\n').sort()).toEqual([
      '',
      'shop-db-1',
      'shop-web-1',
    ]);
    expect((await type('ps -q --no-trunc --filter name=p-we')).out).toMatch(/^[0-9a-f]{64}\n$/);
    expect((await type('ps --filter label=tier=low')).out).toMatch(
      /^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES\n.*shop-db-1\n$/,
    );
    expect((await type('ps --filter label=com.docker.compose.project=other -q')).out).toBe('');
    const either = await type('ps --filter name=web --filter name=db --filter id= --format {{.Names}}');
    expect(either.out.split('\n').sort()).toEqual(['', 'shop-db-1', 'shop-web-1']);
    expect((await type('ps -q --filter name=web --filter label=tier=low')).out).toBe('');
    expect((await type('ps --filter name=(')).err).toContain('is not a regular expression');
    expect((await type('ps --filter label=x --filter size=3')).err).toContain('--filter does not know "size=3"');
    await stack.verb('stop');
    expect((await type('ps -q --filter name=shop')).out).toBe('');
    expect((await type('ps -aq --filter name=shop')).out).toMatch(/^([0-9a-f]{12}\n){2}$/);
    expect((await type('compose ps --filter name=shop')).err).toContain('the only filter is status=STATE');
  });

  test('exec, stop and rm take the name of a machine where no service is called so', async () => {
    const { type } = await openShop();
    const detail = { stack: 'other', status: { ...replica({ service: 'job', number: 3 }), name: 'other-job-3' } } as ReplicaDetail;
    const context = () => {
      const made = fakeContext();
      made.fake.machines = [detail];
      return made;
    };
    const exec = context();
    expect(await run(exec, 'exec other-job-3 ls')).toBe(0);
    expect(exec.fake.call('exec')?.args[0]).toMatchObject({ service: 'job', index: 3, args: ['ls'] });
    const stop = context();
    expect(await run(stop, 'stop other-job-3')).toBe(0);
    expect(stop.fake.call('stop')?.args[1]).toMatchObject({ services: [], replicas: ['other-job-3'] });
    expect(stop.stdout.text).toBe('other-job-3\n');
    const rm = context();
    expect(await run(rm, 'rm other-job-3')).toBe(1);
    expect(rm.stderr.text).toContain('cannot remove other-job-3, which is running');
    expect(await run(rm, 'rm -f other-job-3')).toBe(0);
    expect(rm.fake.call('rm')?.args[1]).toMatchObject({ replicas: ['other-job-3'], stop: true });
    expect((await type('stop nobody')).err).toContain('no such service: nobody');
  });

  test('logs, port, wait, attach, export and cp take the name of a machine, and docker’s long forms are the same', async () => {
    const ports = [{ hostAddress: '127.0.0.1', hostPort: 49_001, port: 80, protocol: 'tcp' as const }];
    const status = { ...replica({ service: 'job', number: 3 }), name: 'other-job-3', ports };
    const machine = (more: Partial<ReplicaStatus> = {}) => {
      const made = fakeContext();
      made.fake.machines = [{ stack: 'other', status: { ...status, ...more } } as ReplicaDetail];
      return made;
    };
    for (const line of ['port other-job-3', 'container port other-job-3']) {
      const port = machine();
      expect(await run(port, line)).toBe(0);
      expect(port.stdout.text).toBe('80/tcp -> 127.0.0.1:49001\n');
    }
    const port = machine();
    expect(await run(port, 'port other-job-3 81')).toBe(1);
    expect(port.stderr.text).toContain("No public port '81' published for other-job-3");
    const logs = machine();
    expect(await run(logs, 'logs --tail 1 other-job-3')).toBe(0);
    expect(logs.fake.call('logs')?.args[0]).toMatchObject({ services: ['job'], index: 3, tail: 1 });
    const wait = machine({ state: 'exited', exitCode: 4 });
    expect(await run(wait, 'wait other-job-3')).toBe(0);
    expect(wait.stdout.text).toBe('4\n');
    const ls = machine();
    expect(await run(ls, 'container ls --filter publish=49001 --format {{.Names}}')).toBe(0);
    expect(ls.stdout.text).toBe('other-job-3\n');
  });

  test.each([
    ['kill other-job-3', { state: 'exited' }, 'is not running'],
    ['pause other-job-3', { state: 'paused' }, 'is already paused'],
    ['unpause other-job-3', { state: 'running' }, 'is not paused'],
  ] as const)('%s of one that is %o: %s', async (line, state, why) => {
    const made = fakeContext();
    made.fake.machines = [{ stack: 'other', status: { ...replica({ service: 'job' }), name: 'other-job-3', ...state } } as ReplicaDetail];
    expect(await run(made, line)).toBe(1);
    expect(made.stderr.text).toContain(why);
  });

  test('a name that is nothing says so as docker does where there is no Compose file; rm -f of it is no mistake', async () => {
    const nowhere = () => fakeContext({ project: new HyprError('COMPOSE_NOT_FOUND', 'no file', { reason: NO_COMPOSE_FILE }) });
    for (const line of ['logs nobody', 'stop nobody', 'top nobody', 'port nobody', 'cp nobody:/x .', 'wait nobody', 'rm nobody']) {
      const made = nowhere();
      expect(await run(made, line)).toBe(1);
      expect(made.stderr.text).toContain('No such container: nobody');
    }
    const made = nowhere();
    expect(await run(made, 'rm -f nobody none')).toBe(0);
    expect(made.stderr.text).toBe('No such container: nobody\nNo such container: none\n');
  });

  test('Ctrl-C ends with 130 whatever failed before, and one wait that fails keeps no other from being waited for', async () => {
    const two = (onVerb: (verb: string, count: number) => void) => {
      const made = fakeContext();
      let count = 0;
      made.fake.machines = ['one', 'two'].map((name) => ({ stack: name, status: replica({ service: name, name }) }) as ReplicaDetail);
      made.fake.onVerb = async (verb) => onVerb(verb, ++count);
      return made;
    };
    const stop = two((_, count) => {
      if (count > 1) {
        throw new HyprError('HYPR_CANCELLED', 'cancelled');
      }
    });
    expect(await run(stop, 'stop nobody one two')).toBe(130);
    expect(stop.stdout.text).toBe('one\n');
    const wait = two((_, count) => {
      if (count === 1) {
        throw new HyprError('SUPERVISOR_GONE', 'the supervisor was killed');
      }
    });
    expect(await run(wait, 'wait nobody one two')).toBe(1);
    expect(wait.stdout.text).toBe('0\n');
    expect(wait.stderr.text).toMatch(/No such container: nobody[\s\S]*the supervisor was killed/);
  });

  test('of several names each that can be done is done and printed, and what failed is said at the end', async () => {
    const machine = (name: string, more: Partial<ReplicaStatus> = {}) =>
      ({ stack: name, status: { ...replica({ service: name, name }), ...more } }) as ReplicaDetail;
    const type = async (line: string) => {
      const made = fakeContext({ project: new HyprError('COMPOSE_NOT_FOUND', 'no file', { reason: NO_COMPOSE_FILE }) });
      made.fake.machines = [machine('one'), machine('two', { state: 'exited', exitCode: 4 })];
      return { code: await run(made, line), out: made.stdout.text, err: made.stderr.text, fake: made.fake };
    };
    const stop = await type('stop nobody two one');
    expect([stop.code, stop.out]).toEqual([1, 'two\none\n']);
    expect(stop.err).toContain('No such container: nobody');
    expect(stop.fake.calls.filter(({ name }) => name === 'stop')).toHaveLength(2);
    const kill = await type('kill two one');
    expect([kill.code, kill.out]).toEqual([1, 'one\n']);
    expect(kill.err).toContain('two is not running');
    const rm = await type('rm one two nobody');
    expect([rm.code, rm.out]).toEqual([1, 'two\n']);
    expect(rm.err).toContain('cannot remove one');
    expect(rm.err).toContain('No such container: nobody');
    const force = await type('rm -f nobody two');
    expect([force.code, force.out]).toEqual([0, 'two\n']);
    const wait = await type('wait nobody two');
    expect([wait.code, wait.out]).toEqual([1, '4\n']);
    const nobody = await type('start nobody none');
    expect(nobody.err).toMatch(/No such container: nobody[\s\S]*No such container: none/);
  });

  test('update changes each machine that is there', async () => {
    const type = async (line: string) => {
      const made = fakeContext();
      made.fake.machines = [{ stack: 'one', status: replica({ service: 'one', name: 'one' }) } as ReplicaDetail];
      return { code: await run(made, line), out: made.stdout.text, err: made.stderr.text, fake: made.fake };
    };
    const updated = await type('update --restart on-failure:3 -m 512m --cpus 1.5 nobody one');
    expect([updated.code, updated.out]).toEqual([1, 'one\n']);
    expect(updated.err).toContain('No such container: nobody');
    expect(updated.fake.call('updateReplica')?.args[1]).toEqual({
      restart: { condition: 'on-failure', maxAttempts: 3, delay: 100 },
      memory: 512 * 2 ** 20,
      cpus: 1.5,
    });
    expect((await type('container update --cpu-quota 50000 one')).fake.call('updateReplica')?.args[1]).toEqual({ cpus: 0.5 });
    expect((await type('update --cpu-quota 50000 --cpu-period 0 one')).fake.call('updateReplica')?.args[1]).toEqual({ cpus: 0.5 });
    expect((await type('update --cpu-quota=-1 one')).err).toContain('cannot be without a limit');
    expect((await type('update --restart always:3 one')).err).toContain("maximum retry count can only be used with 'on-failure'");
    expect((await type('update --restart always:0 one')).code).toBe(0);
    expect((await type('update one')).err).toContain('you must provide one or more flags');
    expect((await type('update --restart sometimes one')).err).toContain("unknown policy 'sometimes'");
    expect((await type('update --restart on-failure:x one')).err).toContain('maximum retry count must be an integer');
    expect((await type('update -m 1k one')).err).toContain('Minimum memory limit allowed is 6MB');
    expect((await type('update -m x one')).err).toContain("invalid size: 'x'");
    expect((await type('update --cpus many one')).err).toContain('failed to parse many');
    expect((await type('update --pids-limit 5 one')).err).toContain('a kernel of its own');
  });

  test('rm -f takes the stack along only where it has nothing else', async () => {
    const alone = replica({ service: 'job', name: 'job' });
    const remove = async (replicas: ReplicaStatus[]) => {
      const made = fakeContext();
      made.fake.machines = [{ stack: 'job', status: alone } as ReplicaDetail];
      made.fake.replicas = replicas;
      expect(await run(made, 'rm -f job')).toBe(0);
      return made.fake.calls.map(({ name }) => name);
    };
    expect(await remove([alone])).toEqual(['down']);
    // `container_name: job` in a project of that name.
    expect(await remove([alone, replica({ service: 'db', name: 'job-db-1' })])).toEqual(['rm']);
  });

  test('names of services need no look at all machines, and the Compose file is read once', async () => {
    const openObjects = vi.fn<EngineApi['openObjects']>();
    for (const line of ['exec web ls', 'rm -f web', 'stop web db']) {
      const made = fakeContext({ engine: { openObjects } });
      expect(await run(made, line)).toBe(0);
      expect(made.loaded).toHaveLength(1);
    }
    expect(openObjects).not.toHaveBeenCalled();
  });

  test('ps lists all machines wherever it is typed, those of one stack where that or a service is named', async () => {
    const ps = async (line: string, project?: HyprError) => {
      const made = fakeContext(project === undefined ? {} : { project });
      made.fake.machines = [{ stack: 'other', status: replica({ service: 'job', name: 'other-job-3' }) } as ReplicaDetail];
      return { code: await run(made, line), out: made.stdout.text };
    };
    for (const none of [undefined, new HyprError('COMPOSE_NOT_FOUND', 'no file', { reason: NO_COMPOSE_FILE })]) {
      expect(await ps('ps', none)).toEqual({ code: 0, out: expect.stringContaining('other-job-3') });
    }
    expect((await ps('ps -q')).out).toMatch(/^[0-9a-f]{12}\n$/);
    for (const line of ['-p shop ps', 'ps --services', 'compose ps']) {
      expect((await ps(line)).out).not.toContain('other-job-3');
    }
    expect((await ps('ps db')).code).toBe(1);
    expect(await ps('-f nope.yaml ps', new HyprError('COMPOSE_NOT_FOUND', 'no file'))).toEqual({ code: 1, out: '' });
  });

  test.each([
    ['-p other ps --filter name=- --format {{.Names}}', 'other-db-1\nother-job-3\n'],
    ['-p other ps -l --format {{.Names}}', 'other-db-1\n'],
    ['-p other ps -n 5 job --format {{.Names}}', 'other-job-3\n'],
    ['-p other ps --filter name=- --services', 'db\njob\n'],
    ['-p other ps --filter name=- --status exited --format {{.Names}}', 'other-db-1\n'],
    ['-p shop ps --filter name=- -q', ''],
    ['container ls --status exited --format {{.Names}}', 'other-db-1\n'],
    ['container ls -a --services', 'api\ndb\njob\n'],
  ])("docker's filters are of the stack and services that are named: %s", async (line, out) => {
    const made = fakeContext({});
    const machine = (stack: string, service: string, number: number, more: Partial<ReplicaStatus>) =>
      ({ stack, status: replica({ service, name: `${stack}-${service}-${number}`, ...more }) }) as ReplicaDetail;
    made.fake.machines = [
      machine('third', 'api', 1, { createdAt: 30 }),
      machine('other', 'db', 1, { createdAt: 20, state: 'exited', exitCode: 0 }),
      machine('other', 'job', 3, { createdAt: 10 }),
    ];
    // A filter by status shows those that ended; others only what runs.
    const all = line.includes('name=-') && !line.includes('--status') ? line.replace(' ps ', ' ps -a ') : line;
    expect(await run(made, all)).toBe(0);
    expect(made.stdout.text).toBe(out);
  });
});
