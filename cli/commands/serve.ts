import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join, resolve as resolvePath } from 'node:path';
import { isatty } from 'node:tty';
import { linkedController } from '../../base/abort.ts';
import { HyprError, isErrno } from '../../base/errors.ts';
import { runtimeDir } from '../../base/paths.ts';
import { parseDuration } from '../../compose/model/units.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import type { Flags } from '../core/flags.ts';
import { say, warn } from '../core/output.ts';
import { settingsApi } from './settings.ts';

/** `serve`: docker's Engine API on a unix socket, in the foreground, until Ctrl-C or until nobody needs it. */
export const runServe: Handler = async ({ context, flags }) => {
  const idle = flags.string('idle');
  const engine = await context.engine();
  const onListening = (socket: string): void => say(context, `export DOCKER_HOST=unix://${socket}`);
  const socket = flags.string('socket');
  const { takePassedSocket } = await import('../../engine/docker/http/activation.ts');
  const options = {
    // Clients have folders of their own: what they are told is absolute.
    socket: socket === undefined ? undefined : resolvePath(context.cwd, socket),
    idleMs: idle === undefined ? undefined : durationOf(idle),
    passed: takePassedSocket(),
    onListening,
    onNotice: (message: string): void => warn(context.stderr, message),
    rest: portOf(flags, 'rest'),
    metrics: portOf(flags, 'metrics'),
    grpc: portOf(flags, 'grpc'),
    settings: settingsApi(context.settings),
    onPort: (what: string, url: string, file: string): void => say(context, `${what}: ${url} (token: ${file})`),
  };
  await engine.serveDocker(options, context.interrupts.signal);
  return 0;
};

const portOf = (flags: Flags, name: 'rest' | 'metrics' | 'grpc'): number | undefined => {
  const port = flags.int(name);
  if (port !== undefined && (port < 0 || port > 65_535)) {
    throw new HyprError('HYPR_USAGE', `--${name} wants a port, not ${port}`, { hint: 'such as 41001; 0 is one that is free' });
  }
  return port;
};

const durationOf = (text: string): number => {
  const fail = (): never => {
    throw new HyprError('HYPR_USAGE', `--idle wants a time, not "${text}"`, { hint: 'such as --idle 10m' });
  };
  try {
    const duration = parseDuration(text);
    return duration < 0 ? fail() : duration;
  } catch {
    return fail();
  }
};

/** `with-docker -- COMMAND`: a command whose docker is hypr; its exit code is that of hypr. */
export const runWithDocker: Handler = async (invocation) => {
  const { context } = invocation;
  const serving = linkedController(context.interrupts.signal);
  // Of its own, so that it ends with the command and meets nobody else.
  const socket = join(runtimeDir(), `docker-${process.pid}.sock`);
  const engine = await context.engine();
  let served: Promise<void> = Promise.resolve();
  try {
    await new Promise<void>((resolve, reject) => {
      served = engine.serveDocker({ socket, idleMs: undefined, onListening: () => resolve() }, serving.signal);
      served.catch(reject);
    });
    return await runCommand(invocation, socket);
  } finally {
    serving.abort();
    await served.catch(() => {});
  }
};

/**
 * Testcontainers: Ryuk, which removes what killed tests left, is an image to pull and a machine to run; who wants it sets
 * TESTCONTAINERS_RYUK_DISABLED=false. Published ports are at this host's loopback, also where it takes this host for a container.
 */
const environment = (env: NodeJS.ProcessEnv, socket: string): NodeJS.ProcessEnv => {
  const { DOCKER_CONTEXT: _, DOCKER_TLS_VERIFY: __, DOCKER_CERT_PATH: ___, ...rest } = env;
  return { TESTCONTAINERS_RYUK_DISABLED: 'true', TESTCONTAINERS_HOST_OVERRIDE: 'localhost', ...rest, DOCKER_HOST: `unix://${socket}` };
};

const runCommand = ({ context, args }: Invocation, socket: string): Promise<number> =>
  new Promise((resolve, reject) => {
    context.interrupts.signal.throwIfAborted();
    const [command = '', ...rest] = args;
    const child = spawn(command, rest, { stdio: 'inherit', env: environment(context.env, socket), cwd: context.cwd });
    // A terminal sends Ctrl-C to the command as well, which decides what it means; SIGTERM is sent to hypr alone.
    const hasTerminal = [0, 1, 2].some((descriptor) => isatty(descriptor));
    const leave = context.interrupts.take((name) => (name === 'SIGTERM' || !hasTerminal) && child.kill(name));
    child.once('error', (error) => {
      leave();
      reject(isErrno(error, 'ENOENT', 'EACCES') ? new HyprError('HYPR_USAGE', `${command} cannot be run (${error.code})`) : error);
    });
    child.once('exit', (code, signal) => {
      leave();
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
