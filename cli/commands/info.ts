import { describeHost, type Info, systemName } from '../../engine/docker/shapes/info.ts';
import type { Handler } from '../core/command-spec.ts';
import { compileTemplate, unescapeFormat } from '../format/go-template.ts';
import { goView } from '../format/go-view.ts';

/** `docker info`: what is true of hypr and this host, in docker's shape. */
export const runInfo: Handler = async ({ context, flags }) => {
  const engine = await context.engine();
  const images = await (await engine.openImages()).list();
  const info = describeHost((await engine.openObjects()).replicas(), images.length, await systemName());
  const format = flags.string('format');
  if (format === 'json') {
    context.stdout.write(`${JSON.stringify(info)}\n`);
  } else if (format !== undefined && format !== '') {
    context.stdout.write(`${compileTemplate(unescapeFormat(format))(withLists(info))}\n`);
  } else {
    context.stdout.write(asText(info));
  }
  return 0;
};

/** Lists that are null in JSON are empty for a template. */
const withLists = (info: Info): object => ({
  ...info,
  Warnings: goView({ list: 'string' }, info.Warnings),
  ClientInfo: { ...info.ClientInfo, Warnings: goView({ list: 'string' }, info.ClientInfo.Warnings) },
});

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
