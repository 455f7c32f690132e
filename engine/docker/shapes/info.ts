import { readFile } from 'node:fs/promises';
import { availableParallelism, hostname, machine, release, totalmem } from 'node:os';
import { hyprHome } from '../../../base/paths.ts';
import type { ReplicaDetail } from '../../model/types.ts';
import { DOCKER_VERSION, VERSION } from '../../model/version.ts';
import { psState } from './status.ts';

export type Info = ReturnType<typeof describeHost>;

/** What is true of hypr and this host, in the shape of `docker info`; `system` is this host's name for its system. */
export const describeHost = (replicas: readonly ReplicaDetail[], images: number, system: string) => {
  const states = replicas.map(({ status }) => psState(status));
  const running = states.filter((state) => ['running', 'restarting'].includes(state)).length;
  const paused = states.filter((state) => state === 'paused').length;
  return {
    ID: hostname(),
    Containers: replicas.length,
    ContainersRunning: running,
    ContainersPaused: paused,
    ContainersStopped: replicas.length - running - paused,
    Images: images,
    Driver: 'erofs',
    DriverStatus: [['Writable layers', 'ext4']],
    Plugins: { Volume: ['local'], Network: ['bridge', 'none'], Authorization: null, Log: ['json-file', 'local'] },
    LoggingDriver: 'json-file',
    KernelVersion: release(),
    OperatingSystem: system,
    OSType: 'linux',
    Architecture: architecture(),
    IndexServerAddress: 'https://index.docker.io/v1/',
    NCPU: availableParallelism(),
    MemTotal: totalmem(),
    DockerRootDir: hyprHome(),
    Name: hostname(),
    Labels: [],
    ExperimentalBuild: false,
    ServerVersion: `${DOCKER_VERSION}+hypr.${VERSION}`,
    Swarm: { LocalNodeState: 'inactive' },
    LiveRestoreEnabled: false,
    Isolation: 'microvm',
    SecurityOptions: [],
    Warnings: null,
    ClientInfo: { Debug: false, Version: `${DOCKER_VERSION}+hypr.${VERSION}`, Context: 'default', Plugins: [], Warnings: null },
  };
};

/** The proxies that this host uses, without the names and passwords for them, as docker shows them. */
export const describeProxies = (env: NodeJS.ProcessEnv) => ({
  HttpProxy: maskUser(env.HTTP_PROXY ?? ''),
  HttpsProxy: maskUser(env.HTTPS_PROXY ?? ''),
  NoProxy: env.NO_PROXY ?? '',
});

/** A password may have any character, and the scheme may be absent. */
const maskUser = (url: string): string => {
  const at = url.lastIndexOf('@');
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(url)?.[0] ?? '';
  return at < 0 ? url : `${scheme}xxxxx:xxxxx${url.slice(at)}`;
};

/** As the kernel calls it: x86_64, aarch64. */
export const architecture = (): string => (machine() === 'arm64' ? 'aarch64' : machine());

/** `Debian GNU/Linux 12`, or as `/etc/os-release` has it. */
export const systemName = async (): Promise<string> => {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '');
  return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(text)?.[1] ?? 'Linux';
};
