import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { readDesktopProxy, resetDesktopProxy, setDesktopProxy } from '../../../engine/trust/desktop-proxy.ts';

const URL = 'http://127.0.0.1:7080/proxy.pac';

describe('desktop proxy', () => {
  let folder: string;
  const signal = AbortSignal.timeout(60_000);
  const gsettings = async (body: string): Promise<NodeJS.ProcessEnv> => {
    const file = join(folder, 'gsettings');
    await writeFile(file, `#!/bin/sh\n${body}\n`);
    await chmod(file, 0o755);
    return { ...process.env, XDG_CURRENT_DESKTOP: 'GNOME' };
  };
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypr-proxy-'));
    vi.stubEnv('PATH', `${folder}:${process.env.PATH}`);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(folder, { recursive: true, force: true });
  });

  it('is free or ours, as the desktop says', async () => {
    const answer = (mode: string, url: string) => gsettings(`case $3 in mode) echo "'${mode}'";; *) echo "'${url}'";; esac`);
    expect((await readDesktopProxy(URL, await answer('none', ''), signal)).state).toBe('free');
    expect((await readDesktopProxy(URL, await answer('auto', URL), signal)).state).toBe('ours');
    expect((await readDesktopProxy(URL, await answer('manual', ''), signal)).state).toBe('other');
  });

  it('is an error when the desktop refuses the setting', async () => {
    const env = await gsettings('echo "The key is not writable" >&2; exit 1');
    const refusal = { code: 'SETUP_REFUSED', details: ['The key is not writable'] };
    await expect(setDesktopProxy(URL, env, signal)).rejects.toMatchObject(refusal);
    await expect(resetDesktopProxy(env, signal)).rejects.toMatchObject(refusal);
  });
});
