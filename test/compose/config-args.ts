import type { ConfigOptions } from '../../compose/index.ts';

/** Root flags and `config` flags as the edge cases write them. */
export const parseConfigArgs = (args: readonly string[], base: { cwd: string; env: Record<string, string> }): ConfigOptions => {
  const options: Record<string, unknown> = { ...base };
  const add = (key: string, value: string) => {
    options[key] = [...((options[key] as string[] | undefined) ?? []), value];
  };
  const queue = [...args];
  for (let arg = queue.shift(); arg !== undefined; arg = queue.shift()) {
    const [flag = '', inline] = arg.split('=', 2);
    const value = () => inline ?? queue.shift() ?? '';
    if (arg === 'config') {
      continue;
    }
    if (flag in LISTS) {
      add(LISTS[flag] ?? '', value());
    } else if (flag in VALUES) {
      options[VALUES[flag] ?? ''] = value();
    } else if (arg in SWITCHES) {
      Object.assign(options, SWITCHES[arg]);
    } else {
      add('services', arg);
    }
  }
  return options as unknown as ConfigOptions;
};

const LISTS: Record<string, string> = { '-f': 'files', '--file': 'files', '--profile': 'profiles', '--env-file': 'envFiles' };
const VALUES: Record<string, string> = {
  '-p': 'projectName',
  '--project-directory': 'projectDirectory',
  '--format': 'format',
  '--hash': 'hash',
  '-o': 'output',
};
const SWITCHES: Record<string, object> = {
  '--services': { listServices: true },
  '--volumes': { listVolumes: true },
  '--networks': { listNetworks: true },
  '--models': { listModels: true },
  '--images': { listImages: true },
  '--profiles': { listProfiles: true },
  '--variables': { listVariables: true },
  '--environment': { listEnvironment: true },
  '--no-interpolate': { interpolate: false },
  '--no-normalize': { normalize: false },
  '--no-path-resolution': { resolvePaths: false },
  '--no-consistency': { consistency: false },
  '--no-env-resolution': { resolveEnv: false },
  '--compatibility': { normalize: false, compatibility: true },
  '-q': { quiet: true },
};
