import type { ReplicaDetail } from '../../model/types.ts';
import { ApiError } from '../http/errors.ts';
import type { Call, Routes } from '../http/router.ts';
import { asList, asMap, asNumber, asRecord, asText, asTexts } from '../http/values.ts';
import { createMachine } from '../machines/create.ts';
import type { Host } from '../machines/host.ts';
import { needRunning, writeLogs } from '../routes/containers.ts';
import { needImage } from '../routes/images.ts';
import { findNetwork } from '../routes/networks.ts';
import { execByWebSocket } from '../routes/web-sockets.ts';
import { labelsOf } from '../shapes/container.ts';
import { stateWord } from '../shapes/status.ts';

/** What is kept of each stream of a program that was run. */
const MOST_OUTPUT = 16 << 20;

/** Machines as the JSON API has them. */
export const machineRoutes = (host: Host): Routes => ({
  'GET /machines': ({ reply }) => reply.json(host.objects.replicas().map(describeMachine)),
  'POST /machines': (call) => create(host, call),
  'GET /machines/{id}': ({ params, reply }) => reply.json(describeMachine(host.find(params.id ?? ''))),
  'GET /machines/{id}/logs': (call) => sendLogs(host, call),
  'POST /machines/{id}/exec': (call) => exec(host, call),
  'GET /machines/{id}/exec': execByWebSocket(host),
});

export const describeMachine = (detail: ReplicaDetail): Record<string, unknown> => {
  const { status, stack } = detail;
  return {
    id: status.id,
    name: status.name,
    stack,
    service: status.service,
    image: status.image,
    status: stateWord(status),
    health: status.health,
    exit_code: status.exitCode,
    created_at: new Date(status.createdAt).toISOString(),
    started_at: status.startedAt === undefined ? null : new Date(status.startedAt).toISOString(),
    addresses: status.addresses.map(({ network, address }) => ({ network, address })),
    ports: status.ports.map(({ port, protocol, hostAddress, hostPort }) => ({ port, protocol, host_ip: hostAddress, host_port: hostPort })),
    labels: labelsOf(detail),
  };
};

/** `{name, image, command, env, vcpu_count, mem_size_mib, ports, volumes, labels, network, start}`; it is started unless `start` is false. */
const create = async (host: Host, { body, reply, signal }: Call): Promise<void> => {
  const request = await body.json();
  if (asText(request.kernel_image_path) !== undefined || asText(request.rootfs_path) !== undefined) {
    throw new ApiError(400, 'kernel_image_path and rootfs_path are not taken: name an image, the kernel is hypr’s');
  }
  const image = await needImage(host, asText(request.image) ?? '');
  const config = machineConfig(request);
  const name = asText(request.name);
  const id = await createMachine(host, { name, config, image, findNetwork: (wanted) => findNetwork(host, wanted), signal });
  if (request.start !== false) {
    const { stack, status } = host.find(id);
    const { VERB_DEFAULTS } = await import('../../model/option-defaults.ts');
    await host.changeStack(stack, (opened) => opened.verb('start', undefined, { ...VERB_DEFAULTS, replicas: [status.name] }, () => {}));
  }
  reply.json(describeMachine(host.find(id)), 201);
};

/** The request in the shape that docker's clients send. Throws 400. */
export const machineConfig = (request: Readonly<Record<string, unknown>>): Record<string, unknown> => {
  const ports = asTexts(request.ports).map(portOf);
  const env = Array.isArray(request.env)
    ? asTexts(request.env)
    : Object.entries(asMap(request.env)).map(([key, value]) => `${key}=${value}`);
  const [cpus, memory] = [asNumber(request.vcpu_count), asNumber(request.mem_size_mib)];
  return {
    Image: asText(request.image),
    Cmd: commandOf(request.command),
    Env: env,
    Labels: asMap(request.labels),
    WorkingDir: asText(request.workdir),
    User: asText(request.user),
    ExposedPorts: Object.fromEntries(ports.map(([port]) => [port, {}])),
    HostConfig: {
      ...(cpus === undefined ? {} : { NanoCpus: cpus * 1e9 }),
      ...(memory === undefined ? {} : { Memory: memory * 2 ** 20 }),
      NetworkMode: asText(request.network) ?? 'default',
      Binds: asTexts(request.volumes),
      PortBindings: Object.fromEntries(ports),
      RestartPolicy: { Name: asText(asRecord(request.restart).policy) ?? 'no' },
    },
  };
};

/** A text is for the shell. */
const commandOf = (value: unknown): readonly string[] =>
  typeof value === 'string' ? (value === '' ? [] : ['/bin/sh', '-c', value]) : asTexts(asList(value));

/** `8080:80`, `127.0.0.1:8080:80/udp`, `80`. */
const portOf = (text: string): [string, Array<{ HostIp: string; HostPort: string }>] => {
  const [, address = '', hostPort = '', port, protocol = 'tcp'] = /^(?:(?:([\d.]+):)?(\d*):)?(\d{1,5})(?:\/(tcp|udp))?$/.exec(text) ?? [];
  if (port === undefined) {
    throw new ApiError(400, `"${text}" is no port: write HOST:PORT or PORT`);
  }
  return [`${port}/${protocol}`, [{ HostIp: address, HostPort: hostPort }]];
};

const sendLogs = async (host: Host, { params, query, reply, signal }: Call): Promise<void> => {
  const detail = host.find(params.id ?? '');
  const sink = reply.stream('text/plain; charset=utf-8');
  const options = { follow: query.bool('follow'), since: query.moment('since'), until: undefined, tail: query.int('tail') };
  await writeLogs(host, detail, { options, signal }, (record) => sink.write(`${record.line}\n`));
  sink.end();
};

/** `{command, env, workdir, user, input}` → `{exit_code, stdout, stderr}`; a program that prints more than 16 MiB is cut. */
const exec = async (host: Host, { params, body, reply, signal }: Call): Promise<void> => {
  const { status, stack } = needRunning(host, params.id ?? '');
  const request = await body.json();
  const args = commandOf(request.command ?? request.cmd);
  if (args.length === 0) {
    throw new ApiError(400, 'command is missing: a text for the shell, or a list of words');
  }
  const env = asTexts(request.env);
  const place = { service: status.service, index: status.number, user: asText(request.user), workdir: asText(request.workdir) };
  await host.withStack(stack, async (opened) => {
    const session = await opened.exec(
      { ...place, args, env, tty: false, stdin: true, detach: false, privileged: false, size: undefined },
      signal,
    );
    const read: Record<'stdout' | 'stderr', Uint8Array[]> = { stdout: [], stderr: [] };
    const size = { stdout: 0, stderr: 0 };
    try {
      await session.write(Buffer.from(asText(request.input) ?? ''));
      session.closeStdin();
      for await (const { stream, data } of session.output) {
        size[stream] += data.length;
        if (size[stream] <= MOST_OUTPUT) {
          read[stream].push(data);
        }
      }
      const text = (stream: 'stdout' | 'stderr'): string => Buffer.concat(read[stream]).toString('utf8');
      reply.json({ exit_code: await session.exitCode, stdout: text('stdout'), stderr: text('stderr') });
    } finally {
      session.close();
    }
  });
};
