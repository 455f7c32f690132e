import { watch } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import { chromiumArgs } from '../../../engine/trust/open-browser.ts';
import { namedUrl, openUrl } from '../../../engine/trust/open-url.ts';
import { pacDataUrl } from '../../../engine/trust/pac.ts';
import { openAuthority } from '../../../net/certificates/authority.ts';

const LOCAL = { url: 'http://web.shop.localhost:7080/', reach: 'localhost' } as const;

describe('openUrl', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypr-open-'));
    vi.stubEnv('PATH', folder);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });

  const host = (env: NodeJS.ProcessEnv = { DISPLAY: ':0' }) => ({
    ...{ paths: homePaths(join(folder, 'home')), home: folder, signal: AbortSignal.timeout(10_000) },
    env: { PATH: folder, ...env },
  });
  /** A program of that name, which writes down its arguments. */
  const program = async (name: string): Promise<void> => {
    await writeFile(join(folder, name), `#!/bin/sh\nprintf '%s\\n' "$@" > ${folder}/.${name} && : > ${folder}/called-${name}\n`);
    await chmod(join(folder, name), 0o755);
  };
  const calledWith = async (name: string): Promise<string[]> => {
    for await (const _ of changes(folder)) {
      const there = await readFile(join(folder, `called-${name}`)).catch(() => undefined);
      if (there !== undefined) {
        break;
      }
    }
    return (await readFile(join(folder, `.${name}`), 'utf8')).trim().split('\n');
  };

  it('prints the URL where there is no display, and says why', async () => {
    await program('xdg-open');
    expect(await openUrl(LOCAL, host({}))).toEqual({ url: LOCAL.url, why: expect.stringContaining('no display') });
    expect(await openUrl(LOCAL, host({ SSH_CONNECTION: '1 2 3 4' }))).toEqual({
      url: LOCAL.url,
      why: expect.stringContaining('remote session'),
    });
  });

  it('prints it where there is a display and no browser', async () => {
    expect(await openUrl(LOCAL, host())).toEqual({ url: LOCAL.url, why: 'there is no xdg-open and no browser in PATH' });
  });

  it("opens the name below localhost in the desktop's browser before any set-up", async () => {
    await program('xdg-open');
    await program('chromium');
    expect(await openUrl(LOCAL, host())).toEqual({ url: LOCAL.url, where: "the desktop's browser" });
    expect(await calledWith('xdg-open')).toEqual([LOCAL.url]);
  });

  it('opens the https name in a profile of its own once there is an authority', async () => {
    await program('xdg-open');
    await program('chromium');
    await openAuthority(host().paths.authority);
    expect(await openUrl(LOCAL, host())).toMatchObject({ url: 'https://web.shop.hypr/', where: expect.stringContaining('chromium') });
    const args = await calledWith('chromium');
    expect(args.at(-1)).toBe('https://web.shop.hypr/');
    expect(args).toContain(`--user-data-dir=${folder}/home/browsers/chromium`);
  });

  it('opens the https name on the desktop where every program finds it', async () => {
    await program('xdg-open');
    const url = 'https://web.shop.hypr/';
    expect(await openUrl({ url, reach: 'system' }, host())).toEqual({ url, where: "the desktop's browser" });
  });

  it('refuses a browser that is not there', async () => {
    await expect(openUrl({ ...LOCAL, browser: 'firefox' }, host())).rejects.toMatchObject({ code: 'SETUP_REFUSED' });
    await expect(openUrl({ ...LOCAL, browser: 'lynx' }, host())).rejects.toMatchObject({ code: 'SETUP_REFUSED' });
  });

  it('gives Chromium the authority by the digest of its key, and the PAC without a server', async () => {
    const args = await chromiumArgs('/profile', host());
    expect(args.find((arg) => arg.startsWith('--ignore-certificate-errors-spki-list='))).toMatch(/=[A-Za-z0-9+/]{43}=$/);
    const script = Buffer.from(pacDataUrl({ HYPR_EDGE_PORT: '7099' }).split(',')[1] ?? '', 'base64').toString();
    expect(script).toContain('PROXY 127.0.0.1:7099');
  });
});

/** Once now, and after each change in the folder. */
async function* changes(folder: string): AsyncGenerator<void> {
  const watcher = watch(folder);
  try {
    yield;
    while (true) {
      await new Promise((resolve) => watcher.once('change', resolve));
      yield;
    }
  } finally {
    watcher.close();
  }
}

describe('namedUrl', () => {
  it.each([
    ['http://web.shop.localhost:7080/', 'https://web.shop.hypr/'],
    ['http://3000.web.shop.localhost:7080/', 'https://3000.web.shop.hypr/'],
    ['http://localhost:7080/', 'https://hypr/'],
  ])('%s', (url, named) => {
    expect(namedUrl(url, 'hypr')).toBe(named);
  });
});
