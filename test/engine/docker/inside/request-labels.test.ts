import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { homePaths } from '../../../../base/paths.ts';
import { openObjects } from '../../../../engine/client/objects.ts';
import { resolveReplica } from '../../../../engine/resolve/replica-spec.ts';
import type { VmRow } from '../../../../engine/state/records.ts';
import { openStateStore } from '../../../../engine/state/store.ts';
import { projectOf, RUNTIME } from '../../support/project.ts';

let home = '';
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'hypr-labels-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

test('what a file or request says of a machine is told apart from what its image says', () => {
  const paths = homePaths(home);
  const project = projectOf({ db: { labels: { tier: 'low' } } });
  const config = { ...RUNTIME, Labels: { 'org.testcontainers': 'true' } };
  const spec = resolveReplica({ project, service: 'db', number: 1, image: { reference: 'db:1', config } });
  const row: VmRow = {
    ...{ id: 'a'.repeat(64), stack: 'shop', service: 'db', number: 1, oneOff: false, name: spec.name, state: 'created', health: 'none' },
    ...{ exitCode: 0, reason: undefined, restarts: 0, configHash: '', imageId: '', spec, machine: undefined, saved: undefined },
    ...{ published: [], stoppedByUser: false, createdAt: 1, startedAt: 1, finishedAt: undefined, bootMs: undefined, run: undefined },
  };
  const store = openStateStore(paths.database);
  store.putStack({ name: 'shop', workingDir: '/', files: [], project, supervisor: undefined, createdAt: 1 });
  store.putVm(row);
  store.close();
  const [detail] = openObjects(paths).replicas();
  expect(detail?.status.labels).toEqual({ 'org.testcontainers': 'true', tier: 'low' });
  expect(detail?.requestLabels).toEqual({ tier: 'low' });
});
