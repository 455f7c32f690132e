import { createWriteStream } from 'node:fs';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { onAbort } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import type { NetworkDetail, ObjectApi } from '../../engine/model/types.ts';
import type { Handler } from '../core/command-spec.ts';
import { confirm } from '../core/confirm.ts';
import type { OutputStream } from '../core/context.ts';
import { writeOut } from '../core/output.ts';
import { throwFailures } from '../core/print-error.ts';
import { compileFilters, labelJudges, parseLabels, parsePairs, untilJudge } from '../format/filters.ts';
import { findNetwork } from './network.ts';

/** Names for the one kind of network there is. */
const DRIVERS = [undefined, 'bridge', 'gvproxy'];

/** `network create`: a network that belongs to no stack; prints its id. */
export const runNetworkCreate: Handler = async ({ context, args, flags }) => {
  const driver = flags.string('driver');
  if (!DRIVERS.includes(driver)) {
    throw new HyprError('HYPR_UNSUPPORTED', `--driver ${driver} is not supported: there is one kind of network, in user space`, {
      hint: 'leave it out, or say bridge',
    });
  }
  const objects = await (await context.engine()).openObjects();
  const id = await objects.createNetwork({
    name: args[0] ?? '',
    subnets: flags.list('subnet'),
    gateways: flags.list('gateway'),
    ranges: flags.list('ip-range'),
    reserved: parsePairs(flags.list('aux-address'), 'aux-address'),
    internal: flags.bool('internal'),
    ipv6: flags.bool('ipv6'),
    labels: parseLabels(flags.list('label')),
    options: parseLabels(flags.list('opt')),
  });
  context.stdout.write(`${id}\n`);
  return 0;
};

/** `network rm`: each that can be removed is, whatever becomes of the others. With `--force` one that is not there is no error, either. */
export const runNetworkRm: Handler = async ({ context, args, flags }) => {
  const objects = await (await context.engine()).openObjects();
  const force = flags.bool('force');
  const failures: unknown[] = [];
  for (const wanted of args) {
    try {
      const { name } = findNetwork(objects.networks(), wanted);
      await objects.removeNetwork(name, { force });
      context.stdout.write(`${wanted}\n`);
    } catch (error) {
      if (!(force && error instanceof HyprError && error.code === 'NOT_FOUND')) {
        failures.push(error);
      }
    }
  }
  throwFailures(failures, `${failures.length} networks were not removed`);
  return 0;
};

/** `network prune`: networks made by `network create` that no machine is on. Those of a stack go with it. */
export const runNetworkPrune: Handler = async ({ context, flags }) => {
  const matches = compileFilters<NetworkDetail>(flags.list('filter'), {
    ...untilJudge<NetworkDetail>(flags.list('filter'), context.now(), ({ createdAt }) => createdAt),
    ...labelJudges(({ labels }) => labels),
  });
  const question =
    'WARNING! This will remove all custom networks not used by at least one container.\nAre you sure you want to continue? [y/N] ';
  if (!flags.bool('force') && !(await confirm(context, question, 'hypr network prune --force'))) {
    return 0;
  }
  const objects = await (await context.engine()).openObjects();
  const names = await prune(objects, matches);
  context.stdout.write(names.length === 0 ? '' : `Deleted Networks:\n${names.map((name) => `${name}\n`).join('')}\n`);
  return 0;
};

const prune = async (objects: ObjectApi, matches: (network: NetworkDetail) => boolean): Promise<string[]> => {
  const removed: string[] = [];
  for (const network of objects.networks()) {
    if (network.stack === '' && network.name !== 'bridge' && network.members.length === 0 && matches(network)) {
      try {
        await objects.removeNetwork(network.name, { force: false });
        removed.push(network.name);
      } catch (error) {
        // Somebody has begun to use it, or has removed it, meanwhile.
        if (!(error instanceof HyprError && (error.code === 'NETWORK_IN_USE' || error.code === 'NOT_FOUND'))) {
          throw error;
        }
      }
    }
  }
  return removed;
};

/** `network connect`: at once where the replica runs. */
export const runNetworkConnect: Handler = async ({ context, args: [network = '', replica = ''], flags }) => {
  const objects = await (await context.engine()).openObjects();
  await objects.connectNetwork(findNetwork(objects.networks(), network).name, replica, {
    address: flags.string('ip'),
    address6: flags.string('ip6'),
    aliases: flags.list('alias'),
  });
  return 0;
};

export const runNetworkDisconnect: Handler = async ({ context, args: [network = '', replica = ''] }) => {
  const objects = await (await context.engine()).openObjects();
  await objects.disconnectNetwork(findNetwork(objects.networks(), network).name, replica);
  return 0;
};

/** `network capture`: frames as a pcap file, until it is interrupted or the network ends. */
export const runNetworkCapture: Handler = async ({ context, args, flags }) => {
  const objects = await (await context.engine()).openObjects();
  const file = flags.string('write') ?? '-';
  if (file === '-' && context.stdout.isTTY === true) {
    throw new HyprError('HYPR_USAGE', 'a capture is not for a terminal', { hint: 'name a file: -w x.pcap' });
  }
  const { signal } = context.interrupts;
  const snap = flags.int('snapshot-length');
  const { name } = findNetwork(objects.networks(), args[0] ?? '');
  const frames = await objects.captureNetwork(name, { signal, ...(snap === undefined ? {} : { snap }) });
  // The gateway closes its side then, so that what is under way is still written.
  const leave = onAbort(signal, () => frames.end());
  try {
    await (file === '-'
      ? toOutput(frames, context.stdout)
      : pipeline(frames, createWriteStream(resolve(context.cwd, file), { mode: 0o600 })));
  } finally {
    leave();
    frames.destroy();
  }
  return 0;
};

const toOutput = async (frames: Readable, output: OutputStream): Promise<void> => {
  for await (const chunk of frames) {
    await writeOut(output, chunk as Buffer);
  }
};
