import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../base/errors.ts';
import { readTextIfThere, writeFileAtomic } from '../../base/host/files.ts';
import { runProgram } from '../../base/host/process.ts';
import { sanitiseText } from '../../base/sanitise.ts';
import type { CliContext } from '../core/context.ts';

type Context = Pick<CliContext, 'env' | 'home' | 'stdout' | 'stderr'>;

const SOCKET = 'hypr-docker.socket';
const SERVICE = 'hypr-docker.service';
/** The first line of what is hypr's. */
const MARK = '# hypr setup --docker; hypr setup --undo removes it';
const IDLE = '10m';
const MANAGER_MS = 30_000;

export interface Served {
  /** Path of hypr. */
  readonly program: string;
  /** Path of the socket. */
  readonly socket: string;
}

/** What a shell may say, which the user manager does not know: where hypr is, and how it reaches registries. */
const SETTINGS = [
  ...['HYPR_HOME', 'HYPR_DATA_DIR', 'HYPR_RUNTIME_DIR', 'HYPR_REGISTRY_MIRRORS', 'HYPR_FENCE', 'DOCKER_CONFIG'],
  ...['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy', 'SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS'],
];

/** The units of systemd's user manager, by file name. Pure. */
export const dockerUnits = ({ program, socket }: Served, env: NodeJS.ProcessEnv): Record<string, string> => {
  const settings = SETTINGS.flatMap((name) => (env[name] ? [`Environment=${quoted(`${name}=${env[name]}`)}`] : []));
  return {
    [SOCKET]: unit([
      '[Unit]',
      "Description=Docker's API, answered by hypr",
      '[Socket]',
      `ListenStream=${escaped(socket)}`,
      'SocketMode=0600',
      'DirectoryMode=0700',
      'RemoveOnStop=yes',
      '[Install]',
      'WantedBy=sockets.target',
    ]),
    [SERVICE]: unit([
      '[Unit]',
      "Description=Docker's API, answered by hypr",
      `Requires=${SOCKET}`,
      `After=${SOCKET}`,
      '[Service]',
      ...settings,
      `ExecStart=${quoted(program)} serve --idle ${IDLE}`,
      // Machines go on when it ends; they are in its control group.
      'KillMode=process',
      'SendSIGKILL=no',
    ]),
  };
};

const unit = (lines: readonly string[]): string => `${[MARK, ...lines].join('\n')}\n`;

/** `%` begins a specifier of systemd's. */
const escaped = (text: string): string => text.replaceAll('%', '%%');
const quoted = (text: string): string => `"${escaped(text).replace(/["\\]/g, '\\$&').replaceAll('$', '$$$$')}"`;

/** Writes the units and has the user manager listen; where there is no systemd nothing is written. Files that are not hypr's stay. */
export const setupUnits = async (context: Context, served: Served, isDryRun: boolean): Promise<void> => {
  const folder = unitFolder(context);
  const units = Object.entries(dockerUnits(served, context.env));
  if (!(await hasManager(context))) {
    context.stderr.write(`no systemd for users is here: hypr serve has to be started by hand, or by hypr with-docker\n`);
    return;
  }
  for (const [name, text] of units) {
    const file = join(folder, name);
    const found = await readTextIfThere(file);
    if (found !== undefined && !found.startsWith(MARK)) {
      context.stderr.write(`${sanitiseText(file)} is not hypr's and stays\n`);
      return;
    }
    if (isDryRun) {
      context.stdout.write(`would write ${sanitiseText(file)}\n`);
      continue;
    }
    await mkdir(folder, { recursive: true });
    // A proxy's address may have a password in it.
    await writeFileAtomic(file, text, 0o600);
    context.stdout.write(`${sanitiseText(file)}\n`);
  }
  if (!isDryRun) {
    await manage(context, ['daemon-reload']);
    await enableSocket(context, served.socket);
  }
};

/** The manager would take the socket of a `hypr serve` that somebody started away: it listens there only when that has ended. */
const enableSocket = async (context: Context, socket: string): Promise<void> => {
  const { isListening } = await import('../../engine/docker/http/listen.ts');
  const isTaken = (await isListening(socket)) && (await ask(context, ['is-active', '--quiet', SOCKET])) !== undefined;
  if (isTaken) {
    context.stderr.write(`hypr serve listens at ${sanitiseText(socket)} already: when it has ended, systemctl --user start ${SOCKET}\n`);
  }
  await manage(context, ['enable', ...(isTaken ? [] : ['--now']), SOCKET]);
};

/** Removes what `setupUnits` wrote. Machines go on. */
export const undoUnits = async (context: Context, isDryRun: boolean): Promise<void> => {
  const files = [SOCKET, SERVICE].map((name) => join(unitFolder(context), name));
  const own: string[] = [];
  for (const file of files) {
    if ((await readTextIfThere(file))?.startsWith(MARK) === true) {
      own.push(file);
    }
  }
  if (own.length === 0) {
    return;
  }
  if (isDryRun) {
    context.stdout.write(own.map((file) => `would remove ${sanitiseText(file)}\n`).join(''));
    return;
  }
  await manage(context, ['disable', '--now', SOCKET]);
  await manage(context, ['stop', SERVICE]);
  for (const file of own) {
    await rm(file, { force: true });
    context.stdout.write(`removed ${sanitiseText(file)}\n`);
  }
  await manage(context, ['daemon-reload']);
};

const unitFolder = ({ env, home }: Context): string => join(env.XDG_CONFIG_HOME || join(home, '.config'), 'systemd', 'user');

const hasManager = async (context: Context): Promise<boolean> => (await ask(context, ['show-environment'])) === undefined;

/** A manager that fails is told of; the files are there for the next one. */
const manage = async (context: Context, args: readonly string[]): Promise<void> => {
  const failure = await ask(context, args);
  if (failure !== undefined) {
    context.stderr.write(`systemctl --user ${args.join(' ')}: ${sanitiseText(failure)}\n`);
  }
};

/** Undefined when it worked, else what it said. */
const ask = async ({ env }: Context, args: readonly string[]): Promise<string | undefined> => {
  try {
    const { code, stderr } = await runProgram('systemctl', ['--user', ...args], { env: { PATH: '', ...env }, timeout: MANAGER_MS });
    return code === 0 ? undefined : stderr.trim() || `exit code ${code}`;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EACCES')) {
      return 'there is no systemctl';
    }
    throw error;
  }
};
