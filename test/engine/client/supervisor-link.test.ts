import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import { SupervisorLink } from '../../../engine/client/link/supervisor-link.ts';

test('a supervisor that says it is ready and is gone when it is asked, as one whose client was late, is started again, three times in all', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'hypr-link-'));
  onTestFinished(() => {
    vi.unstubAllEnvs();
    rmSync(dir, { recursive: true, force: true });
  });
  const script = join(dir, 'supervisor.cjs');
  const ready = JSON.stringify({ ready: true, recovered: [] });
  writeFileSync(
    script,
    `const fs = require('node:fs'); fs.appendFileSync(${JSON.stringify(join(dir, 'starts'))}, 'x'); fs.writeSync(3, ${JSON.stringify(ready)});`,
  );
  vi.stubEnv('HYPR_SUPERVISOR', script);
  vi.stubEnv('HYPR_RUNTIME_DIR', join(dir, 'run'));
  const link = new SupervisorLink({ stack: 'shop', paths: homePaths(join(dir, 'home')), isNeeded: async () => true });
  await expect(link.demand(() => {})).rejects.toMatchObject({ code: 'SUPERVISOR_FAILED' });
  expect(readFileSync(join(dir, 'starts'), 'utf8')).toBe('xxx');
});
