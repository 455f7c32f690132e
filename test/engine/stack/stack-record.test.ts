import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Platform } from '../../../engine/model/platform.ts';
import { recordStack } from '../../../engine/stack/stack-record.ts';
import { openStateStore } from '../../../engine/state/store.ts';
import { projectOf } from '../support/project.ts';

const SHELL = { AWS_SECRET_ACCESS_KEY: 'not-hyprs-business', DB_PASSWORD: 'hunter2', HOME: '/root' };

test('of what the shell of `up` had in its environment, the database has only what a restart needs', () => {
  const dir = mkdtempSync(join(tmpdir(), 'hypr-record-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const store = openStateStore(join(dir, 'hypr.db'));
  const project = {
    ...projectOf({ db: {} }),
    environment: SHELL,
    secrets: { password: { name: 'password', environment: 'DB_PASSWORD' }, file: { name: 'file', file: '/run/token' } },
  };
  const place = { stack: 'shop', store, platform: {} as Platform };
  recordStack(place, project, new Map());
  expect(store.stack('shop')?.project.environment).toEqual({ DB_PASSWORD: 'hunter2' });
  // A later command that has the variable no more, and names other services: the first value stays with those who need it.
  const without = { ...project, environment: { HOME: '/root' } };
  recordStack(place, without, new Map());
  expect(store.stack('shop')?.project.environment).toEqual({ DB_PASSWORD: 'hunter2' });
  store.close();
  expect(readFileSync(join(dir, 'hypr.db'), 'latin1')).not.toContain('not-hyprs-business');
});
