import { HyprError, isErrno } from '../../base/errors.ts';
import { type RunResult, runProgram } from '../../base/host/process.ts';
import { sanitiseText } from '../../base/sanitise.ts';
import { readSecretLine } from '../model/secret-line.ts';
import type { BuildRequest, SshForward } from '../model/types.ts';
import { isSameServer } from '../registry/transport/same-server.ts';
import { findRedirect } from './find-redirect.ts';

/** What git may use to authenticate to servers. */
export interface GitAccess {
  readonly secrets: BuildRequest['secrets'];
  /** Only those of `secrets` that name the host. */
  readonly onlyNamed?: boolean;
  /** The agent or keys for ssh; undefined: none. */
  readonly ssh: SshForward | undefined;
}

export interface GitRun {
  readonly access: GitAccess;
  readonly signal: AbortSignal;
  /** The remote that git connects to; undefined if none. */
  readonly remote?: { readonly url: string; readonly credentials: string | undefined };
  /** The address in git's arguments where that was redirected to `remote`. */
  readonly from?: string | undefined;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

const TIMEOUT = 30 * 60_000;
const MAX_REDIRECTS = 5;
const PASSED = /^(PATH|LANG|TMPDIR|(https?|no|all)_proxy|(HTTPS?|NO|ALL)_PROXY|SSL_CERT_(FILE|DIR)|GIT_SSL_CAINFO|GIT_SSL_CAPATH)$/;

/**
 * Runs the host's git, without a shell and without the user's or the system's configuration: no hooks, no filters, no
 * prompts, no protocol that reads this host. Credentials are passed in its environment. Throws TOOLCHAIN_MISSING without
 * git.
 */
export const runGit = async (args: readonly string[], run: GitRun): Promise<RunResult> => {
  let next: GitRun = run;
  for (let redirects = 0; ; redirects++) {
    const header = await authorizationOf(next);
    const result = await runOnce(args, next, header);
    const to = header === undefined || result.code === 0 || redirects === MAX_REDIRECTS ? undefined : await redirected(next, header);
    if (to === undefined) {
      return result;
    }
    next = { ...to, from: run.remote?.url };
  }
};

/** Git sends a header wherever it is redirected: with one it may not follow, so that this is done here. */
const redirected = async (run: GitRun, header: string): Promise<GitRun | undefined> => {
  const { remote, access, signal } = run;
  const url = remote && (await findRedirect(remote.url, header, signal));
  if (url === undefined) {
    return undefined;
  }
  const isSame = isSameServer(new URL(remote?.url ?? ''), new URL(url));
  const credentials = isSame ? remote?.credentials : undefined;
  return { ...run, remote: { url, credentials }, access: { ...access, onlyNamed: access.onlyNamed === true || !isSame } };
};

const runOnce = async (args: readonly string[], run: GitRun, header: string | undefined): Promise<RunResult> => {
  try {
    return await runProgram('git', args, {
      env: { ...inherited(), ...FIXED, ...sshEnv(run.access.ssh), ...configEnv(run, header), ...run.env },
      signal: run.signal,
      timeout: TIMEOUT,
      ...(run.cwd === undefined ? {} : { cwd: run.cwd }),
    });
  } catch (error) {
    run.signal.throwIfAborted();
    if (isErrno(error, 'ENOENT')) {
      throw new HyprError('TOOLCHAIN_MISSING', 'git is needed for a git source, and is not installed on this host', {
        hint: 'install it: sudo apt-get install git',
        cause: error,
      });
    }
    throw error;
  }
};

/** Like runGit, but throws BUILD_FAILED with git's last output for a non-zero exit code. */
export const mustGit = async (what: string, args: readonly string[], run: GitRun): Promise<string> => {
  const result = await runGit(args, run);
  if (result.code !== 0) {
    throw gitError(what, result);
  }
  return result.stdout;
};

export const gitError = (what: string, { stderr, code }: RunResult): HyprError => {
  const lines = sanitiseText(stderr)
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '')
    .slice(-6);
  const hint = hintFromStderr(stderr);
  return new HyprError('BUILD_FAILED', `${what}: git ended with exit code ${code}`, {
    details: lines,
    ...(hint === undefined ? {} : { hint }),
  });
};

const DENIED = /could not read Username|Authentication failed|Permission denied|terminal prompts disabled|Host key verification/i;

/**
 * What to do about a failure, read from the text of git and OpenSSH (in English: LC_ALL is C), which have one exit code for
 * everything. Only the hint depends on it. OpenSSH tells unknown hosts from those whose key has changed.
 */
const hintFromStderr = (stderr: string): string | undefined => {
  const [, host, port] = /host key is known for \[?([\w.:-]+?)\]?(?::(\d+))? and you have requested strict checking/i.exec(stderr) ?? [];
  if (host !== undefined) {
    const scan = `ssh-keyscan ${port === undefined ? '' : `-p ${port} `}${host} >> ~/.ssh/known_hosts`;
    return `${host} is not in known_hosts: compare its key with the one its owner publishes, then add it: ${scan}`;
  }
  if (/REMOTE HOST IDENTIFICATION HAS CHANGED/.test(stderr)) {
    return 'its host key is another than in known_hosts: find out why before anything is replaced there';
  }
  return DENIED.test(stderr) ? 'for https: --secret id=GIT_AUTH_TOKEN,env=…; for ssh: --ssh default, and a known host key' : undefined;
};

const FIXED: Readonly<Record<string, string>> = {
  LC_ALL: 'C',
  HOME: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_ATTR_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_ASKPASS: '',
  SSH_ASKPASS: '',
  GIT_LFS_SKIP_SMUDGE: '1',
  GIT_TEMPLATE_DIR: '',
  GIT_ALLOW_PROTOCOL: 'http:https:git:ssh',
};

const CONFIG: ReadonlyArray<readonly [string, string]> = [
  ['core.hooksPath', '/dev/null'],
  ['core.fsmonitor', 'false'],
  ['core.symlinks', 'true'],
  ['protocol.file.allow', 'never'],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['advice.detachedHead', 'false'],
  ['init.defaultBranch', 'main'],
  // Gives up on a server that sends nothing for a minute.
  ['http.lowSpeedLimit', '1'],
  ['http.lowSpeedTime', '60'],
];

const inherited = (): NodeJS.ProcessEnv => Object.fromEntries(Object.entries(process.env).filter(([name]) => PASSED.test(name)));

const configEnv = (run: GitRun, header: string | undefined): Record<string, string> => {
  const pairs = [...CONFIG, ...remoteConfig(run, header)];
  const entries = pairs.flatMap(([key, value], index) => [
    [`GIT_CONFIG_KEY_${index}`, key],
    [`GIT_CONFIG_VALUE_${index}`, value],
  ]);
  return { GIT_CONFIG_COUNT: String(pairs.length), ...Object.fromEntries(entries) };
};

const remoteConfig = ({ remote, from }: GitRun, header: string | undefined): Array<readonly [string, string]> => [
  ...(remote === undefined || from === undefined ? [] : [[`url.${remote.url}.insteadOf`, from] as const]),
  ...(remote === undefined || header === undefined
    ? []
    : [
        [`http.${new URL(remote.url).origin}/.extraHeader`, `Authorization: ${header}`] as const,
        ['http.followRedirects', 'false'] as const,
      ]),
];

/** As in BuildKit: GIT_AUTH_HEADER or GIT_AUTH_TOKEN, first those for the host; they are sent to that host only. */
const authorizationOf = async ({ remote, access: { secrets, onlyNamed } }: GitRun): Promise<string | undefined> => {
  if (remote === undefined || !/^https?:/i.test(remote.url)) {
    return undefined;
  }
  const { host } = new URL(remote.url);
  return (
    (await readSecretLine(secrets, `GIT_AUTH_HEADER.${host}`)) ??
    basicToken(await readSecretLine(secrets, `GIT_AUTH_TOKEN.${host}`)) ??
    (remote.credentials === undefined ? undefined : basic(remote.credentials)) ??
    (onlyNamed
      ? undefined
      : ((await readSecretLine(secrets, 'GIT_AUTH_HEADER')) ?? basicToken(await readSecretLine(secrets, 'GIT_AUTH_TOKEN'))))
  );
};

const basic = (text: string): string => `basic ${Buffer.from(text).toString('base64')}`;

const basicToken = (token: string | undefined): string | undefined => (token === undefined ? undefined : basic(`x-access-token:${token}`));

/** Never prompts: hosts must be known already, and only the given keys are used. */
const sshEnv = (ssh: SshForward | undefined): Record<string, string> => {
  const keys = ssh !== undefined && 'keys' in ssh ? ssh.keys : [];
  const options = ['-F', '/dev/null', '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=yes'];
  const identity = keys.length === 0 ? ['-o', 'IdentityFile=none'] : ['-o', 'IdentitiesOnly=yes', ...keys.flatMap((key) => ['-i', key])];
  const agent = ssh !== undefined && 'socket' in ssh ? { SSH_AUTH_SOCK: ssh.socket } : {};
  return { ...agent, GIT_SSH_COMMAND: ['ssh', ...options, ...identity].map(quote).join(' '), GIT_SSH_VARIANT: 'ssh' };
};

/** Quotes for the shell, to which git passes this one variable. */
const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
