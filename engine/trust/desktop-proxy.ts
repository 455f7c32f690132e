import { HyprError } from '../../base/errors.ts';
import { runProgram } from '../../base/host/process.ts';
import { findInPath } from '../../vmm/toolchain/host-programs.ts';

const SCHEMA = 'org.gnome.system.proxy';
const KEYS = ['mode', 'autoconfig-url'] as const;
const TIMEOUT = 10_000;

/** GNOME's setting of a proxy, which Chromium, Firefox ("system proxy") and most others on such a desktop follow. */
export interface DesktopProxy {
  /** `ours`; `free`: nothing is set; `other`: somebody else's proxy or PAC, which stays; `none`: no such desktop here. */
  readonly state: 'ours' | 'free' | 'other' | 'none';
  /** What is set, or why there is none; for people. */
  readonly detail: string;
}

export const readDesktopProxy = async (pacUrl: string, env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<DesktopProxy> => {
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
  if (mode === 'auto' && url === pacUrl) {
    return { state: 'ours', detail: url };
  }
  const isFree = mode === 'none' && url === '';
  return isFree
    ? { state: 'free', detail: 'nothing is set' }
    : { state: 'other', detail: url === '' ? `mode ${mode}` : `mode ${mode}, ${url}` };
};

/** Desktops whose settings are GNOME's. */
const FOLLOWERS = /GNOME|Unity|Cinnamon|Budgie|Pantheon|MATE/i;

/** Sets the PAC; only where nothing else is set. */
export const setDesktopProxy = async (pacUrl: string, env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<void> => {
  const gsettings = runner(env, signal);
  await gsettings('set', SCHEMA, 'autoconfig-url', pacUrl);
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
