import { rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { HyprError, messageOf } from '../../base/errors.ts';
import { exists } from '../../base/host/files.ts';
import { logger } from '../../base/log.ts';
import { copySparse } from '../devices/disks.ts';
import type { Machine, MachineSpec } from '../model/machine.ts';
import { rootDisks } from '../qemu/machine-class.ts';
import type { Template } from '../template/types.ts';
import { bringUp, bringUpCopy, type CreateInput } from './bring-up.ts';

const log = logger('vmm');

/** A clone of the best template that there is; else, and whenever that fails, a machine that boots. */
export const createMachine = async (input: CreateInput): Promise<Machine> => {
  const { spec, nicSockets } = input;
  try {
    input.signal?.throwIfAborted();
    checkSpec(spec, nicSockets);
    if (spec.unrooted) {
      await dropLayer(spec);
    }
    if (spec.cold !== undefined) {
      const machine = await bootCold(input);
      await blame(input, [spec.cold.template]);
      return machine;
    }
    const { machine, useless } = await cloneBest(input);
    const begun = machine ?? (await bootCold(input));
    // Only now is it known that it was the template: a disk that is not there fails either way.
    await blame(input, useless);
    return begun;
  } finally {
    // QEMU has its own copy of each descriptor; ours must go, or the network never sees the machine's end.
    destroyAll(nicSockets);
  }
};

/** A clone of the template that goes furthest, if there is any, and the keys of those that were of no use. */
const cloneBest = async (input: CreateInput): Promise<{ machine: Machine | undefined; useless: string[] }> => {
  const rooted = !input.spec.unrooted && (await isUntouched(input.spec)) ? await findTemplate(input, 'rooted') : undefined;
  const first = rooted && (await tryClone(input, rooted));
  if (first !== undefined) {
    return { machine: first, useless: [] };
  }
  const plain = await findTemplate(input);
  const machine = plain && (await tryClone(input, plain));
  if (machine !== undefined && rooted === undefined) {
    input.templates?.wanted(input.spec);
  }
  const useless = [rooted, machine === undefined ? plain : undefined].flatMap((template) => template?.key ?? []);
  return { machine, useless };
};

/** A template that cannot be looked at is none: a start does not fail over it. */
const findTemplate = async ({ spec, templates }: CreateInput, form?: 'rooted'): Promise<Template | undefined> => {
  try {
    return await templates?.find(spec, form);
  } catch (error) {
    log.warn('templates cannot be read', { machine: spec.name, reason: messageOf(error) });
    return undefined;
  }
};

/** Never rejects: there is a machine already, whose owner must hear of it. */
const blame = async ({ spec, templates }: CreateInput, keys: ReadonlyArray<string | undefined>): Promise<void> => {
  for (const key of keys.filter((one) => one !== undefined)) {
    await templates
      ?.failed({ key })
      .catch((error: unknown) => log.warn('the failure of a template was not noted', { machine: spec.name, reason: messageOf(error) }));
  }
};

/** Its writable layer is still to be made: then it may come from a template, whose guest has it mounted. */
const isUntouched = async (spec: MachineSpec): Promise<boolean> => {
  const disks = rootDisks(spec);
  return disks !== undefined && !(await exists(disks.upper.path));
};

/** What a template's clone has begun to write: made anew, as for a machine that never was. */
const dropLayer = async (spec: MachineSpec): Promise<void> => {
  const disks = rootDisks(spec);
  if (disks !== undefined) {
    await rm(disks.upper.path, { force: true });
  }
};

/** Undefined when the template is of no use: the machine is then begun in another way, with the same sockets. */
const tryClone = async (input: CreateInput, template: Template): Promise<Machine | undefined> => {
  const { spec, signal } = input;
  const begin = Date.now();
  try {
    const machine = (await bringUpCopy(input, template)) ?? (await bringUpClone(input, template));
    log.info('cloned', { machine: spec.name, template: template.key, ms: Date.now() - begin });
    input.templates?.watch(template, machine);
    return machine;
  } catch (error) {
    signal?.throwIfAborted();
    log.warn('a clone failed; beginning in another way', { machine: spec.name, template: template.key, reason: describeError(error) });
    return undefined;
  }
};

const bringUpClone = async (input: CreateInput, template: Template): Promise<Machine> => {
  const disks = rootDisks(input.spec);
  if (disks !== undefined && template.upper !== undefined) {
    await copySparse(template.upper, disks.upper.path, input.signal);
  }
  return await bringUp({ ...input, template }, { kind: 'clone', ram: template.ram }, template);
};

const bootCold = async (input: CreateInput): Promise<Machine> => {
  const machine = await bringUp(input, { kind: 'cold' });
  input.templates?.wanted(input.spec);
  return machine;
};

const describeError = (error: unknown): string =>
  [messageOf(error), ...(error instanceof HyprError ? (error.details ?? []) : [])].join('; ');

/** Longest path of a unix socket that every kernel takes, with the longest name a machine has in its folder. */
const MAX_SOCKET_PATH = 104 - 'agent.sock'.length - 2;

export const checkSpec = (spec: MachineSpec, nicSockets: readonly Socket[]): void => {
  if (nicSockets.length !== spec.nics.length) {
    throw new HyprError('HYPR_INTERNAL', `${spec.name} has ${spec.nics.length} network cards and ${nicSockets.length} sockets for them`);
  }
  if (Buffer.byteLength(spec.runDir) > MAX_SOCKET_PATH) {
    throw new HyprError('VMM_START', `the folder ${spec.runDir} is too long for the sockets of a machine`, {
      hint: 'set HYPR_RUNTIME_DIR to a short folder of your own, e.g. /tmp/hypr',
    });
  }
};

export const destroyAll = (sockets: readonly Socket[]): void => {
  for (const socket of sockets) {
    socket.destroy();
  }
};
