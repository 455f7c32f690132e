import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { exists } from '../../base/host/files.ts';
import { readAuthority } from '../../net/certificates/authority.ts';
import { nameDomain } from '../../net/names/directory.ts';
import { findCertutil } from '../../vmm/toolchain/certutil.ts';
import { findInPath } from '../../vmm/toolchain/host-programs.ts';
import type { TrustHost } from './browser-setup.ts';
import { hasStore } from './find-stores.ts';
import { openNss } from './nss.ts';
import { pacUrl } from './pac.ts';
import { ownNicknames, putAuthority } from './put-authority.ts';

/** A browser that can be given a profile of its own. */
export interface Browser {
  readonly name: string;
  readonly kind: 'chromium' | 'firefox';
  readonly file: string;
}

const KNOWN: ReadonlyArray<Omit<Browser, 'file'> & { readonly files: readonly string[] }> = [
  { name: 'chromium', kind: 'chromium', files: ['chromium', 'chromium-browser'] },
  { name: 'chrome', kind: 'chromium', files: ['google-chrome', 'google-chrome-stable', 'chrome'] },
  { name: 'edge', kind: 'chromium', files: ['microsoft-edge', 'microsoft-edge-stable'] },
  { name: 'brave', kind: 'chromium', files: ['brave-browser', 'brave'] },
  { name: 'vivaldi', kind: 'chromium', files: ['vivaldi', 'vivaldi-stable'] },
  { name: 'firefox', kind: 'firefox', files: ['firefox', 'firefox-esr'] },
];

/** Browsers in PATH, or the one that is asked for. Throws SETUP_REFUSED when that one is not there. */
export const findBrowsers = async (name?: string): Promise<Browser[]> => {
  const wanted = name === undefined ? KNOWN : KNOWN.filter((one) => one.name === name || one.files.includes(name));
  const found = await Promise.all(
    wanted.map(async ({ files, ...browser }) => {
      for (const candidate of files) {
        const file = await findInPath(candidate);
        if (file !== undefined) {
          return [{ ...browser, file }];
        }
      }
      return [];
    }),
  );
  if (name !== undefined && found.flat().length === 0) {
    throw new HyprError('SETUP_REFUSED', `there is no browser ${name} in PATH`, {
      hint: `hypr open knows: ${KNOWN.map((one) => one.name).join(', ')}`,
    });
  }
  return found.flat();
};

/** Why no window can be opened here; undefined where one can. */
export const whyNoWindow = (env: NodeJS.ProcessEnv): string | undefined => {
  if (env.DISPLAY || env.WAYLAND_DISPLAY) {
    return undefined;
  }
  return env.SSH_CONNECTION
    ? 'this is a remote session without a display'
    : 'there is no display here (neither DISPLAY nor WAYLAND_DISPLAY is set)';
};

/** Opens a URL in the desktop's own browser; false where there is no xdg-open. */
export const openOnDesktop = async (url: string, env: NodeJS.ProcessEnv): Promise<boolean> => {
  const file = await findInPath('xdg-open');
  if (file !== undefined) {
    await start(file, [url], env);
  }
  return file !== undefined;
};

/**
 * Opens a URL in a browser with a profile of hypr's, which knows the authority, whatever is set up, and the names while there is an
 * edge: `edge` is its port.
 */
export const openInProfile = async (browser: Browser, url: string, host: TrustHost, edge: number | undefined): Promise<void> => {
  const folder = join(host.paths.browsers, browser.name);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (browser.kind === 'firefox') {
    await start(browser.file, [...(await firefoxArgs(folder, host, edge)), url], host.env);
    return;
  }
  const home = await chromiumHome(folder, host);
  // Without the variable, the display's key is looked for in the home.
  const key = host.env.XAUTHORITY || join(host.home, '.Xauthority');
  const env = { ...host.env, HOME: home, ...((await exists(key)) ? { XAUTHORITY: key } : {}) };
  await start(browser.file, [...chromiumArgs(folder, host, edge), url], env);
};

/** Chromium trusts what `.pki/nssdb` of its home holds, and nothing on its command line: the profile has a home of its own with the authority. */
export const chromiumHome = async (folder: string, host: TrustHost): Promise<string> => {
  const home = join(folder, 'home');
  const store = join(home, '.pki/nssdb');
  await mkdir(store, { recursive: true, mode: 0o700 });
  await trustAuthority(store, host);
  return home;
};

export const chromiumArgs = (folder: string, { env }: Pick<TrustHost, 'env'>, edge: number | undefined): string[] => [
  `--user-data-dir=${folder}`,
  ...(edge === undefined ? [] : [`--proxy-pac-url=${pacUrl(env, edge)}`]),
  '--no-first-run',
  '--no-default-browser-check',
];

/** Prefs by user.js and the authority in the profile's own store. */
export const firefoxArgs = async (folder: string, host: TrustHost, edge: number | undefined): Promise<string[]> => {
  await writeFile(join(folder, 'user.js'), userPrefs(edge === undefined ? undefined : pacUrl(host.env, edge)), { mode: 0o600 });
  await trustAuthority(folder, host);
  return ['--profile', folder, '--no-remote'];
};

/** Has a store of hypr's own, which is made where there is none, trust the authority in use and no earlier one. Without an authority it does nothing. */
const trustAuthority = async (folder: string, { paths, env, signal }: TrustHost): Promise<void> => {
  const authority = await readAuthority(paths.authority, nameDomain(env));
  if (authority === undefined) {
    return;
  }
  if (!((await hasStore(folder)) && ownNicknames(folder).includes(authority.name))) {
    await putAuthority(openNss(await findCertutil(paths, signal), signal), folder, authority);
  }
};

/** Prefs stay in the profile once they were set, so that having no PAC is set as well: 5 is the system's proxy, as by default. */
const userPrefs = (pac: string | undefined): string =>
  Object.entries({
    'network.proxy.type': pac === undefined ? 5 : 2,
    'network.proxy.autoconfig_url': pac ?? '',
    'browser.shell.checkDefaultBrowser': false,
    'browser.aboutwelcome.enabled': false,
    'datareporting.policy.dataSubmissionEnabled': false,
  })
    .map(([key, value]) => `user_pref(${JSON.stringify(key)}, ${JSON.stringify(value)});\n`)
    .join('');

/** Starts a program that outlives this one. */
const start = (file: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = spawn(file, [...args], { detached: true, stdio: 'ignore', env });
    child.on('error', reject).on('spawn', () => {
      child.unref();
      resolve();
    });
  });
