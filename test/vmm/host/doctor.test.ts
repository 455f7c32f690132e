import { describe, expect, it } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import { checkHost } from '../../../vmm/host/doctor.ts';
import { tempDir } from '../support.ts';

describe('the doctor, before the set-up', () => {
  it('says what the set-up will need, and that it has not run', async () => {
    const checks = await checkHost({ paths: homePaths(tempDir()) });
    expect(checks.find(({ id }) => id === 'toolchain')).toEqual({
      id: 'toolchain',
      title: 'Toolchain',
      status: 'fail',
      detail: 'not set up',
      fix: 'hypr setup',
      repair: 'set up',
    });
    expect(checks.map(({ id }) => id)).toEqual(
      expect.arrayContaining(['node', 'platform', 'cpu', 'disk', 'memory', 'packages', 'gcc', 'go']),
    );
    expect(new Set(checks.map(({ id }) => id)).size).toBe(checks.length);
  });

  it('gives a fix for whatever is not right', async () => {
    const checks = await checkHost({ paths: homePaths(tempDir()), staleMachines: async () => ['shop-db-1', 'shop-web-1'] });
    expect(checks.find(({ id }) => id === 'stale')).toMatchObject({ status: 'warn', detail: 'shop-db-1, shop-web-1' });
    expect(checks.filter(({ status, fix }) => status !== 'ok' && !fix)).toEqual([]);
  });

  it('is content without machines left behind', async () => {
    const checks = await checkHost({ paths: homePaths(tempDir()), staleMachines: async () => [] });
    expect(checks.find(({ id }) => id === 'stale')?.status).toBe('ok');
  });
});
