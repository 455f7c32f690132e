import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { userName } from '../../../base/host/user-name.ts';
import { findUserManager } from '../../../base/host/user-scope.ts';

vi.mock('node:os', async (original) => ({
  ...(await original<typeof import('node:os')>()),
  userInfo: () => {
    throw new Error('uv_os_get_passwd returned ENOENT');
  },
}));

describe('a user without an entry in passwd', () => {
  it('has no name, and no systemd that is asked; nothing fails', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'hypr-nameless-'));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    onTestFinished(() => void vi.unstubAllEnvs());
    vi.stubEnv('XDG_RUNTIME_DIR', dir);
    expect(userName()).toBeUndefined();
    expect(await findUserManager(dir)).toBe('this user has no systemd of their own');
    writeFileSync(join(dir, 'bus'), '');
    expect(await findUserManager(dir)).toContain('this user has no name');
  });
});
