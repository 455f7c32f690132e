import { arch, availableParallelism, freemem, platform, release, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { messageOf } from '../../base/errors.ts';
import { writeFileAtomic } from '../../base/host/files.ts';
import { homePaths, hyprHome } from '../../base/paths.ts';
import { END_MARK, encodeBlock, padding } from '../../base/tar/block.ts';
import type { ReplicaDetail } from '../../engine/model/types.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import type { CliContext } from '../core/context.ts';
import { say } from '../core/output.ts';
import { HYPR_VERSION } from '../core/version.ts';
import { redactText, type Secrets } from '../format/redact.ts';
import { readEnd, secretValues } from './support-secrets.ts';

/**
 * `support-bundle`: what a report of a fault needs, as one file: versions, doctor, stacks and machines, logs of hypr and consoles. No
 * Compose file, no environment, no output of services unless `--logs`; what is left goes through `redactText`.
 */
export const runSupportBundle: Handler = async (invocation) => {
  const { context, flags } = invocation;
  const machines = await allMachines(context);
  const secrets: Secrets = {
    home: context.home,
    values: await secretValues(context, machines),
  };
  const files = await collect(invocation, machines);
  const redacted = files.map(([name, text]) => [name, redactText(text, secrets)] as const);
  const stamp = new Date(context.now()).toISOString().replace(/[-:]|\..*/g, '');
  const path = resolve(context.cwd, flags.string('output') ?? `hypr-support-${stamp}.tar.gz`);
  await writeFileAtomic(path, await promisify(gzip)(tarOf(redacted, context.now())), 0o600);
  say(context, `wrote ${path} (${redacted.length} files). Have a look before you send it: tar -xzOf ${path} | less`);
  return 0;
};

type Named = readonly [name: string, text: string];

const collect = async ({ context, flags }: Invocation, machines: readonly ReplicaDetail[]): Promise<Named[]> => {
  const engine = await context.engine();
  const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
  const host = {
    hypr: HYPR_VERSION,
    node: process.version,
    platform: platform(),
    arch: arch(),
    release: release(),
    processors: availableParallelism(),
  };
  const stacks = await attempt(() => engine.listStacks({ all: true }));
  const folders = new Map(machines.map(({ stack, logPath }) => [stack, dirname(logPath)]));
  const { logs } = homePaths(hyprHome(context.env));
  const named = [...new Set([...stacks.flatMap((stack) => ('name' in stack ? [stack.name] : [])), ...folders.keys()])];
  return [
    ['host.json', json({ ...host, memory: totalmem(), free: freemem(), settings: settingsOf(context.env) })],
    ['doctor.json', json(await attempt(() => engine.doctor(context.interrupts.signal)))],
    ['disk.json', json(await attempt(() => engine.systemDf()))],
    ['stacks.json', json(stacks)],
    ['machines.json', json(machines.map((machine) => machineOf(machine, flags.bool('logs'))))],
    ...(await nonEmpty('commands.log', join(logs, 'commands.log'))),
    ...(await Promise.all(named.map((stack) => logsOf(stack, folders.get(stack) ?? join(logs, stack), machines)))).flat(),
    ...(flags.bool('logs') ? await outputsOf(machines) : []),
  ];
};

/** What is broken must not keep the rest from being collected: in its place stands why. */
const attempt = async <T>(work: () => Promise<T[]> | Promise<readonly T[]>): Promise<readonly (T | { readonly failed: string })[]> => {
  try {
    return await work();
  } catch (error) {
    return [{ failed: messageOf(error) }];
  }
};

/** Names of hypr's own settings, and whether they are set: values may be paths or addresses of somebody's network. */
const settingsOf = (env: NodeJS.ProcessEnv): string[] =>
  Object.keys(env)
    .filter((name) => /^(HYPR|COMPOSE)_/.test(name))
    .sort();

/** `said`: with the reason of its state, in which there may be words of the guest. */
const machineOf = ({ stack, status, spec, pid }: ReplicaDetail, said: boolean) => {
  const { name, service, image, state, health, exitCode, restarts, reason, createdAt, startedAt, finishedAt, bootMs, startSpans, ports } =
    status;
  const { vcpus, memoryMib, networks, mounts, restart } = spec;
  const shape = { vcpus, memoryMib, networks: networks.length, mounts: mounts.map(({ kind }) => kind), restart };
  return {
    stack,
    name,
    service,
    image,
    state,
    health,
    exitCode,
    restarts,
    ...(said ? { reason } : {}),
    createdAt,
    startedAt,
    finishedAt,
    bootMs,
    startSpans,
    ports,
    pid,
    ...shape,
  };
};

const nonEmpty = async (name: string, path: string): Promise<Named[]> => {
  const text = await readEnd(path);
  return text === '' ? [] : [[name, text]];
};

const logsOf = async (stack: string, folder: string, machines: readonly ReplicaDetail[]): Promise<Named[]> => {
  const mine = machines.filter((machine) => machine.stack === stack).map(({ status }) => `${status.name}.console.log`);
  const found = ['supervisor.log', 'supervisor.err', ...mine].map(
    async (name) => [`${stack}/${name}`, await readEnd(join(folder, name))] as const,
  );
  return (await Promise.all(found)).filter(([, text]) => text !== '');
};

const outputsOf = async (machines: readonly ReplicaDetail[]): Promise<Named[]> =>
  Promise.all(machines.map(async ({ stack, status, logPath }) => [`${stack}/${status.name}.jsonl`, await readEnd(logPath)] as const));

/** The machines of all stacks; none where the database cannot be read, which doctor tells. */
const allMachines = async (context: CliContext): Promise<readonly ReplicaDetail[]> => {
  try {
    return (await (await context.engine()).openObjects()).replicas();
  } catch {
    return [];
  }
};

const tarOf = (files: readonly Named[], now: number): Buffer => {
  const parts = files.flatMap(([name, text]) => {
    const data = Buffer.from(text);
    const header = {
      name: `hypr-support/${name}`,
      flag: '0',
      mode: 0o600,
      uid: 0,
      gid: 0,
      mtime: Math.trunc(now / 1000),
      link: '',
      deviceMajor: 0,
      deviceMinor: 0,
    };
    return [encodeBlock({ ...header, size: data.length }), data, Buffer.alloc(padding(data.length))];
  });
  return Buffer.concat([...parts, END_MARK]);
};
