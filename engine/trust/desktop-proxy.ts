import { HyprError } from '../../base/errors.ts';
import { runProgram } from '../../base/host/process.ts';
import { findInPath } from '../../vmm/toolchain/host-programs.ts';
import { isOwnPac, pacUrl } from './pac.ts';

const SCHEMA = 'org.gnome.system.proxy';
const KEYS = ['mode', 'autoconfig-url'] as const;
const TIMEOUT = 10_000;

/** GNOME's setting of a proxy, which Chromium, Firefox ("system proxy") and most others on such a desktop follow. */
export interface DesktopProxy {
  /**
   * `ours`; `stale`: hypr's, but switched off, of an edge at another port or as an earlier version set it; `free`: nothing is set; `other`: somebody else's
   * proxy or PAC, which stays; `none`: no such desktop here.
   */
  readonly state: 'ours' | 'stale' | 'free' | 'other' | 'none';
  /** What is set, or why there is none; for people. */
  readonly detail: string;
}

/** What is set; `port` is where the edge is, by default the first port that it tries. */
export const readDesktopProxy = async (env: NodeJS.ProcessEnv, signal: AbortSignal, port?: number): Promise<DesktopProxy> => {
  const desktop = env.XDG_CURRENT_DESKTOP ?? '';
  if (!FOLLOWERS.test(desktop)) {
    return { state: 'none', detail: desktop === '' ? 'no desktop session' : `${desktop} has no proxy setting that hypr knows` };
  }
  const file = await findInPath('gsettings');
  const values = file === undefined ? undefined : await readValues(file, env, signal);
  if (values === undefined) {
    return { state: 'none', detail: "gsettings or GNOME's proxy schema is missing" };
  }
  const { mode, url } = values;
  // With mode none it is off but still there, to be set again or taken away.
  if ((mode === 'auto' || mode === 'none') && isOwnPac(url, env)) {
    return mode === 'auto' && url === pacUrl(env, port)
      ? { state: 'ours', detail: 'names of hypr go to the edge' }
      : { state: 'stale', detail: 'set by hypr, but switched off or for an edge elsewhere; `hypr setup --browser` sets it anew' };
  }
  const isFree = mode === 'none' && url === '';
  return isFree
    ? { state: 'free', detail: 'nothing is set' }
    : { state: 'other', detail: url === '' ? `mode ${mode}` : `mode ${mode}, ${url}` };
};

/** Desktops whose settings are GNOME's. */
const FOLLOWERS = /GNOME|Unity|Cinnamon|Budgie|Pantheon|MATE/i;

/** Sets the PAC; only where nothing is set but by hypr. */
export const setDesktopProxy = async (env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<void> => {
  const gsettings = runner(env, signal);
  await gsettings('set', SCHEMA, 'autoconfig-url', pacUrl(env));
  await gsettings('set', SCHEMA, 'mode', 'auto');
};

/** Resets it to the default, which is what was there before: anything else would not have been replaced. */
export const resetDesktopProxy = async (env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<void> => {
  const gsettings = runner(env, signal);
  await gsettings('reset', SCHEMA, 'mode');
  await gsettings('reset', SCHEMA, 'autoconfig-url');
};

const runner =
  (env: NodeJS.ProcessEnv, signal: AbortSignal) =>
  async (...args: string[]) => {
    const { code, stderr } = await runProgram('gsettings', args, { env, signal, timeout: TIMEOUT });
    if (code !== 0) {
      throw new HyprError('SETUP_REFUSED', `gsettings ${args.join(' ')} failed`, { details: stderr.trim().split('\n') });
    }
  };

const readValues = async (
  file: string,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<{ mode: string; url: string } | undefined> => {
  const answers = await Promise.all(KEYS.map((key) => runProgram(file, ['get', SCHEMA, key], { env, signal, timeout: TIMEOUT })));
  const [mode, url] = answers.map(({ stdout }) => stdout.trim().replace(/^'(.*)'$/s, '$1'));
  return answers.some(({ code }) => code !== 0) ? undefined : { mode: mode ?? '', url: url ?? '' };
};
