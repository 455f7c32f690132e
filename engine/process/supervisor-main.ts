import { closeSync, writeSync } from 'node:fs';
import { mkdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { neverAborts } from '../../base/abort.ts';
import { toHyprError } from '../../base/errors.ts';
import { closeInherited } from '../../base/host/inherited.ts';
import { withLock } from '../../base/host/lock.ts';
import { identifyProcess } from '../../base/host/process.ts';
import { logger, logTo } from '../../base/log.ts';
import { homePaths } from '../../base/paths.ts';
import { mapFrames } from '../../base/source-frames.ts';
import { flushTrace, traced, traceProcess } from '../../base/trace/trace.ts';
import { apiMethods } from '../api/server/handlers.ts';
import { type ApiServer, type Leaving, serveApi } from '../api/server/server.ts';
import type { ReadyMessage } from '../client/link/start-supervisor.ts';
import type { DockerSockets } from '../docker/inside/docker-sockets.ts';
import { openPlatform } from '../host.ts';
import type { AcceptDocker } from '../machine/docker-sockets.ts';
import { stackPaths } from '../model/stack-paths.ts';
import { VERSION } from '../model/version.ts';
import { collectMetrics, METRICS_TYPE } from '../stack/metrics.ts';
import { LoopbackPorts } from '../stack/names/loopback-ports.ts';
import { StackSupervisor } from '../stack/supervisor.ts';
import { openStateStore, type StateStore } from '../state/store.ts';

/**
 * The process that supervises one stack: `node supervisor.cjs STACK`, started by the CLI, which waits for one JSON
 * message on descriptor 3. It exits by itself when nothing of the stack runs and nobody is connected. On SIGTERM it
 * exits and leaves the machines running.
 */
const main = async (stack: string): Promise<void> => {
  traceProcess(`supervisor of ${stack}`);
  const paths = homePaths();
  process.title = `hypr supervisor ${stack}`;
  logTo(join(paths.logs, stack, 'supervisor.log'));
  const { runDir, apiSocket, lock } = stackPaths(stack);
  await mkdir(runDir, { recursive: true, mode: 0o700 });
  await withLock(lock, { what: `the stack ${stack}`, timeout: 0 }, async () => {
    await rm(apiSocket, { force: true });
    const store = openStateStore(paths.database);
    try {
      await superviseUntilIdle({ stack, store, apiSocket, runDir });
    } finally {
      store.close();
    }
  });
  // rmdir removes only an empty folder: a stack left running still has its sockets there.
  await rmdir(runDir).catch(() => {});
};

const superviseUntilIdle = async (input: { stack: string; store: StateStore; apiSocket: string; runDir: string }): Promise<void> => {
  const { stack, store, apiSocket } = input;
  const log = logger('supervisor');
  const platform = await traced('open the platform', undefined, () => openPlatform({ runDir: input.runDir }));
  const docker = openDockerSockets();
  const supervisor = new StackSupervisor({ stack, store, platform, acceptDocker: docker.accept });
  const recovered = await traced('recover', undefined, () => supervisor.recover(neverAborts()));
  recordSupervisor(store, stack, true);
  const loopback = new LoopbackPorts({ names: supervisor.names });
  let server: ApiServer | undefined;
  const leaveNames = new AbortController();
  let namesLeft = Promise.resolve();
  let inside: Promise<{ close(): Promise<void> }> | undefined;
  const reason = await new Promise<'idle' | 'released'>((resolve, reject) => {
    // The first client may never connect: the command that started us can be killed at any moment.
    let waitsForFirst = true;
    const endIfIdle = () => {
      if (!waitsForFirst && supervisor.isIdle && server?.connections === 0) {
        resolve('idle');
      }
    };
    supervisor.onIdle = endIfIdle;
    process.once('SIGTERM', () => resolve('released'));
    // Ctrl-C and hang-ups of the terminal are handled by the CLI.
    process.on('SIGINT', () => {});
    process.on('SIGHUP', () => {});
    const onLeave = (who: Leaving) => {
      waitsForFirst &&= who === 'listener';
      endIfIdle();
    };
    const pages = { '/metrics': { type: METRICS_TYPE, text: () => collectMetrics(supervisor, stack) } };
    serveApi(apiSocket, apiMethods(supervisor, { version: VERSION, stack, recovered }), onLeave, pages).then((listening) => {
      server = listening;
      sayReady({ ready: true, recovered });
      // Only now, because no command waits for it. Read late, because most of it is of no use to a supervisor that is not the holder.
      namesLeft = import('../edge/serve-names.ts').then(({ serveNames }) => serveNames(() => {}, leaveNames.signal));
      inside = serveInside({ stack, store, supervisor });
      // A client whose connection is there already is taken first, however long this loaded host has let that wait.
      setTimeout(() => setImmediate(() => onLeave('client')), FIRST_CLIENT_MS);
    }, reject);
  });
  log.info('ending', { reason });
  leaveNames.abort();
  await traced('close the API', undefined, async () => server?.close());
  await loopback.close();
  await (await inside)?.close();
  await docker.close();
  if (reason === 'idle') {
    await traced('stop the networks', undefined, () => supervisor.networks.stopAll());
  }
  await namesLeft;
  await supervisor.release();
  // A template that is half made is of no use: its maker, its folders and its lock would be left behind.
  await traced('end what is in the background', undefined, async () => platform.vmm.close?.());
  recordSupervisor(store, stack, false);
  await rm(apiSocket, { force: true });
};

/** https between the services of the stack. */
const serveInside = async (input: { stack: string; store: StateStore; supervisor: StackSupervisor }) => {
  const { stack, store, supervisor } = input;
  const { names, networks, replicas } = supervisor;
  const { InsideHttps } = await import('../edge/inside-https.ts');
  return new InsideHttps({ stack, store, names, networks, replicas, liveRows: () => supervisor.liveRows() });
};

/** Docker's API for machines that have its socket. Few have, and it is much code: it is read when the first one connects. */
const openDockerSockets = (): { readonly accept: AcceptDocker; close(): Promise<void> } => {
  let sockets: Promise<DockerSockets> | undefined;
  return {
    accept: (replica, connection) => {
      sockets ??= import('../docker/inside/docker-sockets.ts').then((module) => new module.DockerSockets());
      sockets.then(
        (opened) => opened.accept(replica, connection),
        () => connection.destroy(),
      );
    },
    close: async () => (await sockets?.catch(() => undefined))?.close(),
  };
};

const FIRST_CLIENT_MS = 5_000;
/** How long it waits at its end for a collector of traces. */
const SENDING_MS = 2_000;
const READY_FD = 3;

const recordSupervisor = (store: StateStore, stack: string, present: boolean): void => {
  const row = store.stack(stack);
  if (row !== undefined) {
    store.putStack({ ...row, supervisor: present ? identifyProcess(process.pid) : undefined });
  }
};

const sayReady = (message: ReadyMessage): void => {
  try {
    writeSync(READY_FD, JSON.stringify(message));
    closeSync(READY_FD);
  } catch {
    // The command that started us has gone; the next one finds the socket.
  }
};

/**
 * Supervises the stack named on the command line, then exits. First closes the descriptors inherited from the caller's
 * shell, before anything is started.
 */
export const runSupervisor = async (): Promise<never> => {
  closeInherited([READY_FD]);
  try {
    await main(process.argv[2] ?? '');
    await flushTrace(SENDING_MS);
    return process.exit(0);
  } catch (error) {
    logger('supervisor').error('failed', { error: toHyprError(error).toJSON() });
    process.stderr.write(`${error instanceof Error ? mapFrames(error.stack ?? error.message) : String(error)}\n`);
    sayReady({ error: toHyprError(error).toJSON() });
    return process.exit(1);
  }
};
