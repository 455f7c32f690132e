import { hostname } from 'node:os';
import { afterEach, expect, test, vi } from 'vitest';
import { hyprHome } from '../../../base/paths.ts';
import type { Call } from '../../../engine/docker/http/router.ts';
import { scopeOf } from '../../../engine/docker/inside/scope.ts';
import { scopedView } from '../../../engine/docker/inside/scoped-view.ts';
import { Host } from '../../../engine/docker/machines/host.ts';
import { systemRoutes } from '../../../engine/docker/routes/system.ts';
import { describeProxies } from '../../../engine/docker/shapes/info.ts';
import type { ReplicaDetail } from '../../../engine/model/types.ts';
import { FakeHost } from './fake-host.ts';

afterEach(() => vi.unstubAllEnvs());

const infoOf = async (isHidden: boolean): Promise<Record<string, unknown>> => {
  vi.stubEnv('HTTP_PROXY', 'http://me:secret@proxy:3128');
  vi.stubEnv('HTTPS_PROXY', 'me:se/c@ret@proxy:3128');
  vi.stubEnv('NO_PROXY', 'internal.example');
  let info: unknown;
  const host = { ...new FakeHost({}).host, isHidden };
  await systemRoutes(host as Host)['GET /info']?.({ reply: { json: (value: unknown) => (info = value) } } as unknown as Call);
  return info as Record<string, unknown>;
};

test('the user of this host is told of proxies without their passwords', async () => {
  expect(await infoOf(false)).toMatchObject({
    HttpProxy: 'http://xxxxx:xxxxx@proxy:3128',
    HttpsProxy: 'xxxxx:xxxxx@proxy:3128',
    NoProxy: 'internal.example',
    Name: hostname(),
    DockerRootDir: hyprHome(),
  });
  expect(describeProxies({ HTTP_PROXY: 'http://proxy:3128/' }).HttpProxy).toBe('http://proxy:3128/');
});

test('a machine is told nothing of this host’s proxies, name and folders', async () => {
  const info = await infoOf(true);
  expect(info).toMatchObject({ HttpProxy: '', HttpsProxy: '', NoProxy: '', ID: 'hypr', Name: 'hypr', DockerRootDir: '/var/lib/docker' });
  expect(JSON.stringify(info)).not.toMatch(/secret|proxy:3128|internal\.example/);
});

test('every scope but that of everything hides this host', () => {
  const hides = (access: 'read' | 'full'): boolean => {
    const own = { stack: 'shop', requestLabels: {}, spec: { mounts: [{ kind: 'docker', access }] } } as unknown as ReplicaDetail;
    return new Host(scopedView(scopeOf(own))).isHidden;
  };
  expect(hides('read')).toBe(true);
  expect(hides('full')).toBe(false);
});
