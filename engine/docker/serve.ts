import { lstatSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { whenAborted } from '../../base/abort.ts';
import { logger } from '../../base/log.ts';
import { afterLong } from '../../base/long-timer.ts';
import { hyprHome, runtimeDir } from '../../base/paths.ts';
import { tellOtherVersions } from '../client/check-supervisors.ts';
import type { ServeDockerOptions } from '../model/command-options.ts';
import { sweepBuildFolders } from './buildkit/build-folders.ts';
import { GiveBack } from './http/give-back.ts';
import { type HttpServer, listen, listenOn } from './http/listen.ts';
import { makeRouter, type Routes } from './http/router.ts';
import { Host } from './machines/host.ts';
import type { LoopbackServer } from './rest/listen.ts';
import { dockerRoutes } from './routes/index.ts';

const log = logger('docker');

/**
 * Serves docker's Engine API until the signal aborts or nobody needs it any more. Machines go on without it. Throws HYPR_LOCKED when it is
 * served already, HYPR_PERMISSION.
 */
export const serveDocker = async (options: ServeDockerOptions, signal: AbortSignal): Promise<void> => {
  const socket = options.socket ?? dockerSocket();
  const host = new Host();
  await sweepBuildFolders().catch((error: Error) => log.warn('what killed servers left is not removed', { error: error.message }));
  const memory = new GiveBack();
  const idle = new Idle(options.idleMs, () => host.execs.running > 0);
  let server: HttpServer | undefined;
  let more: readonly HttpServer[] = [];
  try {
    const find = makeRouter(dockerRoutes(host));
    const onConnections = (count: number): void => {
      idle.see(count);
      memory.see();
    };
    const { passed } = options;
    server = passed === undefined ? await listen(socket, find, onConnections) : await listenOn(passed, find, onConnections);
    more = await servePorts(host, options, (routes) => memory.watch(routes));
    options.onListening(socket);
    if (options.onNotice !== undefined) {
      void tellOtherVersions(options.onNotice, signal);
    }
    idle.see(0);
    await Promise.race([whenAborted(signal), idle.over]);
  } finally {
    idle.close();
    memory.close();
    await Promise.all([server, ...more].map((each) => each?.close()));
    await host.work.ended();
    host.close();
  }
};

/** Opens the ports that were asked for; all or none. Throws NET_PORT_IN_USE, HYPR_PERMISSION. */
const servePorts = async (
  host: Host,
  { rest, metrics, grpc, settings, onPort }: ServeDockerOptions,
  watch: (routes: Routes) => Routes,
): Promise<readonly HttpServer[]> => {
  if (rest === undefined && metrics === undefined && grpc === undefined) {
    return [];
  }
  const { readToken, tokenPath } = await import('./rest/token.ts');
  const { serveMetrics, serveRest } = await import('./rest/serve-rest.ts');
  const token = await readToken();
  const open: LoopbackServer[] = [];
  try {
    if (rest !== undefined) {
      open.push(await serveRest(host, { port: rest, token, settings, watch }));
      onPort?.('rest', `http://127.0.0.1:${open.at(-1)?.port}/api/v1`, tokenPath());
    }
    if (metrics !== undefined) {
      open.push(await serveMetrics({ port: metrics, token }));
      onPort?.('metrics', `http://127.0.0.1:${open.at(-1)?.port}/metrics`, tokenPath());
    }
    if (grpc !== undefined) {
      const { serveGrpc } = await import('./grpc/serve-grpc.ts');
      const { restRoutes } = await import('./rest/routes.ts');
      open.push(await serveGrpc(watch(restRoutes(host, settings)), { port: grpc, token }));
      onPort?.('grpc', `127.0.0.1:${open.at(-1)?.port}`, tokenPath());
    }
    return open;
  } catch (error) {
    await Promise.all(open.map((each) => each.close()));
    throw error;
  }
};

/** `$XDG_RUNTIME_DIR/hypr/docker.sock`; of another HYPR_HOME than the user's, one in its own folder. */
export const dockerSocket = (): string => {
  const own = runtimeDir();
  const isUsual = hyprHome() === join(homedir(), '.hypr') && isPrivate(dirname(own));
  return join(isUsual ? dirname(own) : own, 'docker.sock');
};

const isPrivate = (folder: string): boolean => {
  const { uid, mode } = lstatSync(folder);
  return uid === process.getuid?.() && (mode & 0o077) === 0;
};

export class Idle {
  readonly over: Promise<void>;
  readonly #ms: number | undefined;
  readonly #isBusy: () => boolean;
  #end: () => void = () => {};
  #stopWaiting = () => {};

  constructor(ms: number | undefined, isBusy: () => boolean) {
    this.#ms = ms;
    this.#isBusy = isBusy;
    this.over = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** How many are connected now. */
  see(count: number): void {
    this.#stopWaiting();
    if (count === 0 && this.#ms !== undefined) {
      this.#stopWaiting = afterLong(this.#ms, () => (this.#isBusy() ? this.see(0) : this.#end()));
    }
  }

  close(): void {
    this.#stopWaiting();
  }
}
