import { watch } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import { edgePaths } from '../../../engine/edge/info.ts';
import { namedUrl, openUrl } from '../../../engine/trust/open-url.ts';
import { ownAuthority } from '../../../engine/trust/own-authority.ts';
import { openAuthority, readAuthority } from '../../../net/certificates/authority.ts';

const LOCAL = { url: 'http://web.shop.localhost:7080/', reach: 'localhost' } as const;

describe('openUrl', () => {
  let folder: string;
  let edge: Server | undefined;
  /** An edge of this user's, which says that it has that port. */
  const serveEdge = async (port: number): Promise<void> => {
    edge = createServer((socket) =>
      socket
        .on('error', () => {})
        .write(`${JSON.stringify({ pid: 1, domain: 'hypr', port, systemPorts: [], tls: false, problems: [] })}\n`),
    );
    await new Promise<void>((resolve) => edge?.listen(edgePaths().socket, resolve));
  };
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypr-open-'));
    vi.stubEnv('PATH', folder);
    vi.stubEnv('HYPR_RUNTIME_DIR', folder);
  });
  afterEach(async () => {
    edge?.close();
    edge = undefined;
    vi.unstubAllEnvs();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });

  const host = (env: NodeJS.ProcessEnv = { DISPLAY: ':0' }) => ({
    ...{ paths: homePaths(join(folder, 'home')), home: folder, signal: AbortSignal.timeout(10_000) },
    env: { PATH: folder, ...env },
  });
  /** A program of that name, which writes down its arguments. */
  const program = async (name: string): Promise<void> => {
    await writeFile(
      join(folder, name),
      `#!/bin/sh\nwhile read -r line; do :; done; printf '%s\\n' "$HOME" "$@" >> ${folder}/.${name} && : > ${folder}/called-${name}\n`,
    );
    await chmod(join(folder, name), 0o755);
  };
  let lastHome: string | undefined;
  const calledWith = async (name: string): Promise<string[]> => {
    for await (const _ of changes(folder)) {
      const there = await readFile(join(folder, `called-${name}`)).catch(() => undefined);
      if (there !== undefined) {
        break;
      }
    }
    const [home, ...args] = (await readFile(join(folder, `.${name}`), 'utf8')).trimEnd().split('\n');
    lastHome = home;
    return args;
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
    await program('certutil');
    await serveEdge(7099);
    await openAuthority(host().paths.authority);
    expect(await openUrl(LOCAL, host())).toMatchObject({ url: 'https://web.shop.hypr/', where: expect.stringContaining('chromium') });
    const args = await calledWith('chromium');
    expect(args.at(-1)).toBe('https://web.shop.hypr/');
    expect(args).toContain(`--user-data-dir=${folder}/home/browsers/chromium`);
    expect(pacIn(args)).toContain('PROXY 127.0.0.1:7099');
    expect(args.join()).not.toContain('--ignore-certificate');
    const home = `${folder}/home/browsers/chromium/home`;
    expect(lastHome).toBe(home);
    expect((await stat(home)).mode & 0o777).toBe(0o700);
    expect(await calledWith('certutil')).toContain(`sql:${home}/.pki/nssdb`);
  });

  it('opens the name below localhost and gives no PAC where no edge of this user runs', async () => {
    await program('chromium');
    await program('certutil');
    await openAuthority(host().paths.authority);
    expect(await openUrl({ ...LOCAL, browser: 'chromium' }, host())).toMatchObject({ url: LOCAL.url });
    const args = await calledWith('chromium');
    expect(args.at(-1)).toBe(LOCAL.url);
    expect(pacIn(args)).toBe('');
  });

  it('makes no authority: without one the name below localhost is opened in the browser that was asked for', async () => {
    await program('chromium');
    await serveEdge(7099);
    expect(await openUrl({ ...LOCAL, browser: 'chromium' }, host())).toMatchObject({ url: LOCAL.url });
    expect((await calledWith('chromium')).at(-1)).toBe(LOCAL.url);
    expect(await readAuthority(host().paths.authority)).toBeUndefined();
    await expect(ownAuthority(host())).rejects.toMatchObject({
      code: 'SETUP_REFUSED',
      hint: expect.stringContaining('hypr setup --browser'),
    });
    expect(await readAuthority(host().paths.authority)).toBeUndefined();
    const made = await openAuthority(host().paths.authority);
    expect((await ownAuthority(host())).cert).toBe(made.cert);
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
});

/** The PAC on a command line of Chromium's. */
const pacIn = (args: readonly string[]): string => {
  const url = args.find((arg) => arg.startsWith('--proxy-pac-url='));
  return Buffer.from(url?.split(',')[1] ?? '', 'base64').toString();
};

/** Once now, and after each change in the folder. */
async function* changes(folder: string): AsyncGenerator<void> {
  const watcher = watch(folder);
  try {
    while (true) {
      // Before the look: a change during it would be missed otherwise.
      const changed = new Promise((resolve) => watcher.once('change', resolve));
      yield;
      await changed;
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
