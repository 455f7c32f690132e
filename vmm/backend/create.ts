import { rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { HyprError, messageOf } from '../../base/errors.ts';
import { exists } from '../../base/host/files.ts';
import { logger } from '../../base/log.ts';
import { copySparse } from '../devices/disks.ts';
import { fallbackAfter, type Start } from '../model/fallback.ts';
import type { CardWish, Machine, MachineSpec } from '../model/machine.ts';
import { rootDisks } from '../qemu/machine-class.ts';
import { findNestedFacts, refuseNested } from '../qemu/nested.ts';
import type { Template } from '../template/types.ts';
import { refuseWithoutLock } from '../vfio/locked-memory.ts';
import { giveBackCards, takeCards } from '../vfio/take-cards.ts';
import { bringUp, bringUpCopy, type CreateInput } from './bring-up.ts';

const log = logger('vmm');

/** Starts a machine the fastest way that there is, and in the next one (`vmm/model/fallback.ts`) whenever that fails. */
export const createMachine = async (input: CreateInput): Promise<Machine> => {
  const { spec, nicSockets } = input;
  try {
    input.signal?.throwIfAborted();
    checkSpec(spec, nicSockets);
    await checkNested(input);
    if (spec.fallback?.freshLayer) {
      await dropLayer(spec);
    }
    if (spec.cards !== undefined) {
      return await startWithCards(input, spec.cards);
    }
    const failed: string[] = [];
    const machine = await startMachine(input, failed);
    // Only a success in another way shows that it was the template: a disk that is missing fails in every way.
    await noteFailures(input, failed);
    return machine;
  } finally {
    // QEMU has its own copy of each descriptor; the network sees the machine's end only if ours are closed.
    destroyAll(nicSockets);
  }
};

/** It boots: a template has no place for cards. Whoever removes what is left of the machine gives them back (vmm/qemu/process-end.ts). */
const startWithCards = async (input: CreateInput, wishes: readonly CardWish[]): Promise<Machine> => {
  const { spec } = input;
  await refuseWithoutLock(spec);
  const { cards, settled } = await takeCards(spec, wishes);
  try {
    return await bringUp({ ...input, spec: { ...spec, cards } }, { kind: 'cold' });
  } catch (error) {
    await giveBackCards(spec.runDir);
    throw error;
  } finally {
    settled();
  }
};

/** Adds the keys of templates that could not be cloned to `failed`. */
const startMachine = async (input: CreateInput, failed: string[]): Promise<Machine> => {
  const { spec, templates } = input;
  let start: Start = spec.fallback?.start ?? ((await isUntouched(spec)) ? 'rooted-clone' : 'clone');
  while (start !== 'boot') {
    const template = await findTemplate(input, start);
    const machine = template && (await tryClone(input, template));
    if (machine !== undefined) {
      if (start === 'clone' && failed.length === 0) {
        templates?.wanted(spec);
      }
      return machine;
    }
    failed.push(...(template === undefined ? [] : [template.key]));
    start = fallbackAfter(start, 'create');
  }
  const machine = await bringUp(input, { kind: 'cold' });
  templates?.wanted(spec);
  return machine;
};

/** Undefined also when the templates cannot be read: a start does not fail because of that. */
const findTemplate = async ({ spec, templates }: CreateInput, start: 'rooted-clone' | 'clone'): Promise<Template | undefined> => {
  try {
    return await templates?.find(spec, start === 'rooted-clone' ? 'rooted' : undefined);
  } catch (error) {
    log.warn('templates cannot be read', { machine: spec.name, reason: messageOf(error) });
    return undefined;
  }
};

/** Never rejects: there is a machine already, and its owner must get it. */
const noteFailures = async ({ spec, templates }: CreateInput, keys: readonly string[]): Promise<void> => {
  for (const key of keys) {
    await templates
      ?.failed({ key })
      .catch((error: unknown) => log.warn('the failure of a template was not noted', { machine: spec.name, reason: messageOf(error) }));
  }
};

/** Whether the writable layer does not exist yet: only then it can be the copy that a template's guest has mounted. */
const isUntouched = async (spec: MachineSpec): Promise<boolean> => {
  const disks = rootDisks(spec);
  return disks !== undefined && !(await exists(disks.upper.path));
};

const dropLayer = async (spec: MachineSpec): Promise<void> => {
  const disks = rootDisks(spec);
  if (disks !== undefined) {
    await rm(disks.upper.path, { force: true });
  }
};

/** Undefined when the clone failed: the machine is then started in another way, with the same sockets. */
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
    log.warn('a clone failed; starting in another way', { machine: spec.name, template: template.key, reason: describeError(error) });
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

const describeError = (error: unknown): string =>
  [messageOf(error), ...(error instanceof HyprError ? (error.details ?? []) : [])].join('; ');

/** Longest path of a unix socket that every kernel takes, with the longest name a machine has in its folder. */
const MAX_SOCKET_PATH = 104 - 'agent.sock'.length - 2;

const checkNested = async ({ settings, spec }: CreateInput): Promise<void> => {
  if (spec.nested) {
    const { accelerator, toolchain } = settings;
    refuseNested(spec.name, await findNestedFacts({ accelerator, nestedInitramfs: toolchain.nestedInitramfs }));
  }
};

export const checkSpec = (spec: MachineSpec, nicSockets: readonly Socket[]): void => {
  if (nicSockets.length !== spec.nics.length) {
    throw new HyprError('HYPR_INTERNAL', `${spec.name} has ${spec.nics.length} NICs and ${nicSockets.length} sockets for them`);
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
