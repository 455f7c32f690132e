import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { homePaths } from '../../base/paths.ts';
import { leafIssuer } from '../../engine/edge/leaf-issuer.ts';
import { setupBrowser, undoBrowser } from '../../engine/trust/browser-setup.ts';
import { setDesktopProxy } from '../../engine/trust/desktop-proxy.ts';
import { chromiumArgs, chromiumHome, firefoxArgs } from '../../engine/trust/open-browser.ts';
import { readTrust } from '../../engine/trust/status.ts';
import { openAuthority } from '../../net/certificates/authority.ts';
import { serveEdge } from '../../net/edge/edge.ts';
import type { Edge } from '../../net/edge/http/types.ts';
import { EdgeHouse } from '../net/edge/edge-house.ts';
import { type BrowserPage, inRoot, launchChromium, launchFirefox } from '../support/browsers.ts';
import { root } from '../support/cli.ts';
import { fetchDebianRoot } from '../support/debian/debian-root.ts';
import { freePort } from '../support/free-port.ts';
import { noNamespace } from '../support/mount-namespace.ts';
import { needs } from '../support/needs.ts';

/** 1024 for a whole gigabyte each way. */
const MIB = Number(process.env.HYPR_TEST_BROWSER_MIB ?? 16);
const BYTES = MIB * 1024 * 1024;
const MINUTES = 60_000;

/** Every path with the digest of what it holds. */
const listing = async (folder: string): Promise<string[]> => {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const lines = entries.map(async (entry) => {
    const path = join(entry.parentPath, entry.name);
    return `${relative(folder, path)} ${
      entry.isFile()
        ? createHash('sha256')
            .update(await readFile(path))
            .digest('hex')
        : ''
    }`;
  });
  return (await Promise.all(lines)).sort();
};

needs(noNamespace()).describe('names in real browsers', () => {
  const house = new EdgeHouse();
  let browsers: string;
  let folder: string;
  let service: ChildProcess;
  let edge: Edge;
  let page: BrowserPage | undefined;

  const port = (): number => edge.addresses[0]?.port ?? 0;
  const home = (): string => join(folder, 'user');
  const host = () => ({
    ...{ paths: homePaths(join(folder, 'hypr')), home: home(), signal: AbortSignal.timeout(2 * MINUTES) },
    env: { ...process.env, XDG_CURRENT_DESKTOP: '', HYPR_EDGE_PORT: String(port()) },
  });
  const closePage = async (): Promise<void> => {
    await page?.close();
    page = undefined;
  };
  /** One browser at a time. */
  const visit = async (launch: () => Promise<BrowserPage>, url: string): Promise<BrowserPage> => {
    await closePage();
    page = await launch();
    await page.open(url);
    return page;
  };
  const worked = (isSecure: boolean, protocol: string) => ({
    ...{ title: 'page', isSecure, worker: true, socket: 'over a WebSocket', uploaded: BYTES, downloaded: BYTES, protocol },
  });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypr-browsers-'));
    await mkdir(home());
    const servicePort = await freePort();
    service = spawn(process.execPath, [join(root, 'fixtures/browser/server.mjs'), String(servicePort)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(service.stdout as NodeJS.ReadableStream, 'data');
    house.name('web.page', servicePort);
    const issuer = leafIssuer(homePaths(join(folder, 'hypr')).authority, 'hypr');
    edge = await serveEdge({ directory: house.directory, domain: 'hypr', issuer, listen: [{ address: '127.0.0.1', port: 0 }] });
    browsers = await fetchDebianRoot(homePaths().cache);
  }, 10 * MINUTES);
  afterAll(async () => {
    await page?.close();
    await edge?.close();
    service?.kill();
    await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  });

  afterEach(() => void vi.unstubAllEnvs());

  const tier0 = async (launch: typeof launchChromium) => {
    const opened = await visit(() => launch({ root: browsers, home: home() }), `http://web.page.localhost:${port()}/`);
    expect(await opened.evaluate(`tryAll(${BYTES})`)).toEqual(worked(true, 'http/1.1'));
  };
  test('Chromium reaches *.localhost with nothing set up', () => tier0(launchChromium), 2 * MINUTES);
  test('Firefox reaches *.localhost with nothing set up', () => tier0(launchFirefox), 2 * MINUTES);

  test(
    'Chromium trusts https names after setup --browser, and not after undo, which leaves the home as it was byte for byte',
    async () => {
      await closePage();
      const before = await listing(home());
      await setupBrowser(host(), () => {});
      const args = [`--proxy-pac-url=http://127.0.0.1:${port()}/proxy.pac`];
      const opened = await visit(() => launchChromium({ root: browsers, home: home(), args }), 'https://web.page.hypr/');
      expect(await opened.evaluate(`tryAll(${BYTES})`)).toEqual(worked(true, 'h2'));
      await opened.open('https://hypr/');
      expect(await opened.evaluate(shows('page'))).toBe(true);
      expect((await readTrust(host())).trust[0]).toEqual({ what: 'chromium', place: join(home(), '.pki/nssdb'), trusts: true });
      if (process.env.HYPR_TEST_SCREENSHOTS) {
        await takeScreenshots(opened, process.env.HYPR_TEST_SCREENSHOTS);
      }
      await closePage();
      await undoBrowser(host(), () => {});
      expect(await listing(home())).toEqual(before);
      page = await launchChromium({ root: browsers, home: home(), args });
      await expect(page.open('https://web.page.hypr/')).rejects.toThrow('ERR_');
    },
    3 * MINUTES,
  );

  test(
    "browsers follow GNOME's setting that setup --browser made, which undo takes back",
    async () => {
      const wrapped = inRoot(browsers, ['/usr/bin/gsettings']).map((word) => `'${word.replaceAll("'", "'\\''")}'`);
      await writeFile(join(folder, 'gsettings'), `#!/bin/sh\nexec ${wrapped.join(' ')} "$@"\n`, { mode: 0o755 });
      vi.stubEnv('PATH', `${folder}:${process.env.PATH}`);
      const desktop = { XDG_CURRENT_DESKTOP: 'GNOME', GSETTINGS_BACKEND: 'keyfile', XDG_CONFIG_HOME: join(home(), '.config') };
      const gnome = { ...host(), env: { ...host().env, ...desktop } };
      await closePage();
      await setupBrowser(gnome, () => {});
      // It sets no proxy where something that is not an edge of this user's has the port, as the edge of this process.
      await setDesktopProxy(gnome.env, gnome.signal);
      expect((await readTrust(gnome)).proxy.state).toBe('ours');
      const chromium = await visit(() => launchChromium({ root: browsers, home: home(), env: desktop }), 'https://web.page.hypr/');
      expect(await chromium.evaluate('isSecureContext')).toBe(true);
      // Firefox's own profile has no authority here: http shows that it takes the way of the setting.
      const firefox = await visit(() => launchFirefox({ root: browsers, home: home(), env: desktop }), 'http://web.page.hypr/');
      expect(await firefox.evaluate('document.title')).toBe('page');
      await closePage();
      await undoBrowser(gnome, () => {});
      expect((await readTrust(gnome)).proxy.state).toBe('free');
    },
    3 * MINUTES,
  );

  test(
    'profiles of hypr open know names and authority, whatever the user trusts',
    async () => {
      // Nothing of the user's trusts it: undo took that back, and the authority itself.
      await openAuthority(homePaths(join(folder, 'hypr')).authority);
      const profile = await mkdtemp(join(folder, 'profile-'));
      const fox = await firefoxArgs(profile, host(), port());
      const firefox = await visit(() => launchFirefox({ root: browsers, home: home(), args: fox }), 'https://web.page.hypr/');
      expect(await firefox.evaluate(`tryAll(${BYTES})`)).toEqual(worked(true, 'h2'));
      await firefox.open('https://hypr/');
      expect(await firefox.evaluate(shows('page'))).toBe(true);
      const args = chromiumArgs(profile, host(), port()).filter((arg) => !arg.startsWith('--user-data-dir'));
      const own = await chromiumHome(profile, host());
      const chromium = await visit(() => launchChromium({ root: browsers, home: own, args }), 'https://web.page.hypr/');
      expect(await chromium.evaluate('isSecureContext')).toBe(true);
    },
    3 * MINUTES,
  );
});

/** An expression that is true once the page shows a text: the index page is filled by events. */
const shows = (text: string): string => `new Promise((resolve) => {
  const look = () => document.body.innerText.includes(${JSON.stringify(text)}) && resolve(true);
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
  look();
})`;

/** For the README: HYPR_TEST_SCREENSHOTS=FOLDER npm test -- test/scenarios/browsers.vm.test.ts */
const takeScreenshots = async (page: BrowserPage, to: string): Promise<void> => {
  await mkdir(to, { recursive: true });
  for (const [name, width, height, dark] of [
    ['index-light', 1280, 800, false],
    ['index-dark', 1280, 800, true],
    ['index-phone', 360, 740, false],
  ] as const) {
    await writeFile(join(to, `${name}.png`), await page.screenshot({ width, height, dark }));
  }
};
