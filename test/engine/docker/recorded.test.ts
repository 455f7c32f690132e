import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import type { Project } from '../../../compose/model/model.ts';
import { openObjects } from '../../../engine/client/objects.ts';
import { inspectReplica } from '../../../engine/docker/shapes/container.ts';
import { inspectContainer } from '../../../engine/docker/shapes/container-details.ts';
import type { ReplicaDetail } from '../../../engine/model/types.ts';
import { resolveReplica } from '../../../engine/resolve/replica-spec.ts';
import type { VmRow } from '../../../engine/state/records.ts';
import { openStateStore } from '../../../engine/state/store.ts';
import { projectOf, RUNTIME } from '../support/project.ts';

let home = '';
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'hypr-labels-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** The stack as it is in the database, as docker's API reads it; ids are the services' names, over and over. */
const recorded = (project: Project, config = RUNTIME): ReplicaDetail[] => {
  const paths = homePaths(home);
  const store = openStateStore(paths.database);
  store.putStack({ name: 'shop', workingDir: '/', files: [], project, supervisor: undefined, createdAt: 1 });
  for (const service of Object.keys(project.services)) {
    const spec = resolveReplica({ project, service, number: 1, image: { reference: `${service}:1`, config } });
    const row: VmRow = {
      ...{ id: service.repeat(64).slice(0, 64), stack: 'shop', service, number: 1, oneOff: false, name: spec.name, state: 'created' },
      ...{ exitCode: 0, reason: undefined, restarts: 0, configHash: '', imageId: '', spec, machine: undefined, saved: undefined },
      ...{ published: [], stoppedByUser: false, createdAt: 1, startedAt: 1, finishedAt: undefined, bootMs: undefined, run: undefined },
      health: 'none',
    };
    store.putVm(row);
  }
  store.close();
  return openObjects(paths).replicas();
};

test('what a file or request says of a machine is told apart from what its image says', () => {
  const project = projectOf({ db: { labels: { tier: 'low' } } });
  const [detail] = recorded(project, { ...RUNTIME, Labels: { 'org.testcontainers': 'true' } });
  expect(detail?.status.labels).toEqual({ 'org.testcontainers': 'true', tier: 'low' });
  expect(detail?.requestLabels).toEqual({ tier: 'low' });
});

test('a service in the machine of another has the network of that container, and its shared memory where it asks for it', () => {
  const alone = { networks: undefined as never };
  const all = recorded(
    projectOf({
      a: {},
      b: { ...alone, network_mode: 'service:a', ipc: 'service:a' },
      c: { ...alone, network_mode: 'service:b' },
      d: { ...alone, network_mode: 'none' },
    }),
  );
  const shown = (inspect: (detail: ReplicaDetail) => Record<string, unknown>) =>
    all.map((detail) => {
      const { NetworkMode, IpcMode } = inspect(detail).HostConfig as Record<string, unknown>;
      return [NetworkMode, IpcMode];
    });
  const ofA = `container:${'a'.repeat(64)}`;
  const expected = [
    [ofA, ofA],
    [ofA, 'private'],
    ['none', 'private'],
  ];
  expect(shown(inspectReplica).slice(1)).toEqual(expected);
  expect(shown((detail) => inspectContainer(detail, [])).slice(1)).toEqual(expected);
});

test('a service in the machine of another has that one’s host name', () => {
  const all = recorded(
    projectOf({ a: { hostname: 'alpha', domainname: 'test' }, b: { networks: undefined as never, network_mode: 'service:a' }, c: {} }),
  );
  const names = all.map((detail) => {
    const { Hostname, Domainname } = inspectReplica(detail).Config as Record<string, unknown>;
    return [Hostname, Domainname];
  });
  expect(names.slice(0, 2)).toEqual(Array(2).fill(['alpha', 'test']));
  expect(names[2]).not.toContain('alpha');
});
