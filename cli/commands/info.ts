import { readFile } from 'node:fs/promises';
import { availableParallelism, hostname, machine, release, totalmem } from 'node:os';
import { hyprHome } from '../../base/paths.ts';
import type { ReplicaDetail } from '../../engine/model/types.ts';
import type { Handler } from '../core/command-spec.ts';
import { DOCKER_VERSION, HYPR_VERSION } from '../core/version.ts';
import { compileTemplate, unescapeFormat } from '../format/go-template.ts';
import { psState } from '../format/replica.ts';

/** `docker info`: what is true of hypr and this host, in docker's shape. */
export const runInfo: Handler = async ({ context, flags }) => {
  const engine = await context.engine();
  const images = await (await engine.openImages()).list();
  const info = describe((await engine.openObjects()).replicas(), images.length, await systemName());
  const format = flags.string('format');
  if (format === 'json') {
    context.stdout.write(`${JSON.stringify(info)}\n`);
  } else if (format !== undefined && format !== '') {
    context.stdout.write(`${compileTemplate(unescapeFormat(format))(info)}\n`);
  } else {
    context.stdout.write(asText(info));
  }
  return 0;
};

type Info = ReturnType<typeof describe>;

const describe = (replicas: readonly ReplicaDetail[], images: number, system: string) => {
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
    ServerVersion: `${DOCKER_VERSION}+hypr.${HYPR_VERSION}`,
    Swarm: { LocalNodeState: 'inactive' },
    LiveRestoreEnabled: false,
    Isolation: 'microvm',
    SecurityOptions: [],
    Warnings: null,
    ClientInfo: { Debug: false, Version: `${DOCKER_VERSION}+hypr.${HYPR_VERSION}`, Context: 'default', Plugins: [], Warnings: null },
  };
};

/** As the kernel calls it: x86_64, aarch64. */
const architecture = (): string => (machine() === 'arm64' ? 'aarch64' : machine());

const systemName = async (): Promise<string> => {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '');
  return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(text)?.[1] ?? 'Linux';
};

const asText = (info: Info): string =>
  [
    'Client:',
    ` Version:    ${info.ClientInfo.Version}`,
    ` Context:    ${info.ClientInfo.Context}`,
    ' Debug Mode: false',
    '',
    'Server:',
    ` Containers: ${info.Containers}`,
    `  Running: ${info.ContainersRunning}`,
    `  Paused: ${info.ContainersPaused}`,
    `  Stopped: ${info.ContainersStopped}`,
    ` Images: ${info.Images}`,
    ` Server Version: ${info.ServerVersion}`,
    ` Storage Driver: ${info.Driver}`,
    ...info.DriverStatus.map(([name, value]) => `  ${name}: ${value}`),
    ` Logging Driver: ${info.LoggingDriver}`,
    ' Plugins:',
    `  Volume: ${info.Plugins.Volume.join(' ')}`,
    `  Network: ${info.Plugins.Network.join(' ')}`,
    `  Log: ${info.Plugins.Log.join(' ')}`,
    ` Swarm: ${info.Swarm.LocalNodeState}`,
    ` Isolation: ${info.Isolation}`,
    ` Kernel Version: ${info.KernelVersion}`,
    ` Operating System: ${info.OperatingSystem}`,
    ` OSType: ${info.OSType}`,
    ` Architecture: ${info.Architecture}`,
    ` CPUs: ${info.NCPU}`,
    ` Total Memory: ${(info.MemTotal / 1024 ** 3).toFixed(2)}GiB`,
    ` Name: ${info.Name}`,
    ` Docker Root Dir: ${info.DockerRootDir}`,
    '',
  ].join('\n');
