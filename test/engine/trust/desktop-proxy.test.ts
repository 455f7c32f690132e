import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { readDesktopProxy, resetDesktopProxy, setDesktopProxy } from '../../../engine/trust/desktop-proxy.ts';
import { isOwnPac, pacUrl } from '../../../engine/trust/pac.ts';

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
    const state = async (mode: string, url: string, port?: number) =>
      (await readDesktopProxy({ ...(await answer(mode, url)), HYPR_EDGE_PORT: '7080' }, signal, port)).state;
    const own = pacUrl({ HYPR_EDGE_PORT: '7080' });
    expect(await state('none', '')).toBe('free');
    expect(await state('auto', own)).toBe('ours');
    expect(await state('auto', own, 7081)).toBe('stale');
    expect(await state('none', own)).toBe('stale');
    expect(await state('auto', 'http://127.0.0.1:7080/proxy.pac')).toBe('stale');
    expect(await state('manual', own)).toBe('other');
    expect(await state('manual', '')).toBe('other');
    expect(await state('auto', 'http://pac.corp.example/proxy.pac')).toBe('other');
  });

  it('is an error when the desktop refuses the setting', async () => {
    const env = await gsettings('echo "The key is not writable" >&2; exit 1');
    const refusal = { code: 'SETUP_REFUSED', details: ['The key is not writable'] };
    await expect(setDesktopProxy(env, signal)).rejects.toMatchObject(refusal);
    await expect(resetDesktopProxy(env, signal)).rejects.toMatchObject(refusal);
  });
});

describe('PAC of the desktop', () => {
  it('holds the rule itself, so that nobody who listens at the port can give another', () => {
    expect(pacUrl({})).toMatch(/^data:application\/x-ns-proxy-autoconfig;base64,/);
  });

  it("is hypr's at any port and for any domain, and only with hypr's own text", () => {
    expect(isOwnPac(pacUrl({}, 7099), {})).toBe(true);
    expect(isOwnPac(pacUrl({ HYPR_DOMAIN: 'test' }, 1), {})).toBe(true);
    const other = Buffer.from("function FindProxyForURL() { return 'PROXY 127.0.0.1:7080'; }").toString('base64');
    expect(isOwnPac(`data:application/x-ns-proxy-autoconfig;base64,${other}`, {})).toBe(false);
    expect(isOwnPac('http://127.0.0.1:9000/proxy.pac', {})).toBe(false);
    expect(isOwnPac('', {})).toBe(false);
  });
});
