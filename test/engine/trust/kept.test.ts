import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import type { SetupStep } from '../../../engine/model/trust.ts';
import { setupBrowser, undoBrowser } from '../../../engine/trust/browser-setup.ts';
import { freePort } from '../../support/free-port.ts';

describe('setup --browser', () => {
  let folder: string;
  const steps: SetupStep[] = [];
  const host = (desktop = '') => ({
    ...{ paths: homePaths(join(folder, 'home')), home: join(folder, 'user'), signal: AbortSignal.timeout(15_000) },
    env: { ...process.env, XDG_CURRENT_DESKTOP: desktop },
  });
  const program = async (name: string, body: string): Promise<void> => {
    await writeFile(join(folder, name), `#!/bin/sh\n${body}\n`);
    await chmod(join(folder, name), 0o755);
  };
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypr-kept-'));
    steps.length = 0;
    // Nothing of this host's: neither its certutil nor its apt.
    vi.stubEnv('PATH', folder);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(folder, { recursive: true, force: true });
  });

  it("leaves a company's PAC as it is, says so and what to use instead, and so does undo", async () => {
    await program('certutil', 'exit 0');
    await program(
      'gsettings',
      `echo "$@" >> ${folder}/calls; case $3 in mode) echo "'auto'";; *) echo "'http://pac.corp.example/proxy.pac'";; esac`,
    );
    await setupBrowser(host('GNOME'), (step) => steps.push(step));
    expect(steps.at(-1)).toEqual({
      ...{ place: 'proxy of the desktop', status: 'kept' },
      text: 'mode auto, http://pac.corp.example/proxy.pac stays as it is; hypr open starts a browser that knows the names',
    });
    await undoBrowser(host('GNOME'), () => {});
    expect(
      (await readFile(join(folder, 'calls'), 'utf8'))
        .trim()
        .split('\n')
        .filter((call) => !call.startsWith('get ')),
    ).toEqual([]);
  });

  it('makes the store that a browser will look for where there is none yet', async () => {
    await program('certutil', 'exit 0');
    await setupBrowser(host(), (step) => steps.push(step));
    expect(steps).toContainEqual({ place: join(folder, 'user/.pki/nssdb'), status: 'done', text: 'trusts it now' });
  });

  it('says that certutil cannot be had, and changes no store', async () => {
    vi.stubEnv('HYPR_DEBIAN_MIRROR', `http://127.0.0.1:${await freePort()}/debian`);
    await expect(setupBrowser(host(), (step) => steps.push(step))).rejects.toMatchObject({ code: 'TOOLCHAIN_FAILED' });
    expect(await readdir(folder)).not.toContain('user');
  });
});
