import { randomBytes } from 'node:crypto';
import pLimit from 'p-limit';
import { HyprError, messageOf } from '../../../base/errors.ts';
import { traced } from '../../../base/trace/trace.ts';
import type { Image } from '../../../builder/model/types.ts';
import type { EventBus } from '../../logs/bus.ts';
import { newRun } from '../../logs/new-run.ts';
import { hasMachine } from '../../model/lifecycle.ts';
import type { DesiredStack } from '../../plan/desired.ts';
import type { Operation, ReplicaTarget } from '../../plan/plan.ts';
import { runPostStart, runPreStop } from '../../replica/hooks.ts';
import { Replica, type ReplicaContext } from '../../replica/replica.ts';
import type { StackNetworks } from '../../resources/networks.ts';
import type { StackVolumes } from '../../resources/volumes.ts';
import type { VmRow } from '../../state/records.ts';
import { awaitReplicas, judgeCondition } from './conditions.ts';
import type { OperationExecutor } from './execute.ts';
import { runPreStartHook } from './pre-start.ts';
import { labelOf, reportNode } from './progress.ts';

export interface OperationContext {
  readonly stack: string;
  readonly replicas: Map<string, Replica>;
  readonly networks: StackNetworks;
  readonly volumes: StackVolumes;
  readonly bus: EventBus;
  readonly replicaContext: ReplicaContext;
  /** Absent for plans that create nothing. */
  readonly desired: DesiredStack | undefined;
  readonly images: Readonly<Record<string, Image>>;
  readonly lastLines: (replica: Replica) => Promise<string[]>;
  readonly networkName: (key: string) => string;
}

/** Makes the function that executes the operations of one plan: one call for each type, no decisions. */
export const makeOperationExecutor = (context: OperationContext): OperationExecutor => {
  // As many boots at a time as there are cores, in the order of the plan, which puts the critical path first.
  const bootTurn = pLimit(Math.max(1, context.replicaContext.platform.cores));
  return (node, signal) =>
    reportNode({ bus: context.bus, node, label: labelOf(node.operation, context.networkName), signal }, () =>
      traced(node.operation.type, laneOf(node.operation), () => executeOperation({ context, operation: node.operation, bootTurn, signal })),
    );
};

/** Its row in a trace. */
const laneOf = (operation: Operation): string => {
  switch (operation.type) {
    case 'create-network':
    case 'remove-network':
      return `network ${operation.network}`;
    case 'create-volume':
    case 'remove-volume':
      return `volume ${operation.volume}`;
    case 'remove-image':
      return `image ${operation.image}`;
    case 'await':
      return `${operation.service} ${operation.condition}`;
    default:
      return operation.replica;
  }
};

interface Execution {
  readonly context: OperationContext;
  readonly operation: Operation;
  readonly bootTurn: ReturnType<typeof pLimit>;
  readonly signal: AbortSignal;
}

const executeOperation = async ({ context, operation, bootTurn, signal }: Execution): Promise<void> => {
  switch (operation.type) {
    case 'create-network':
      return context.networks.create(needDesired(context).project, operation.network);
    case 'remove-network':
      if (operation.toRecreate !== true) {
        refuseUsed(context, operation.network);
      }
      return context.networks.remove(operation.network);
    case 'create-volume':
      return context.volumes.create(needDesired(context).project, operation.volume, signal);
    case 'remove-volume':
      return context.volumes.remove(operation.volume);
    case 'remove-image':
      return context.replicaContext.platform.removeImage(operation.image);
    case 'create':
      return createReplica(context, operation);
    case 'boot':
      return bootTurn(() => needReplica(context, operation.replica).boot(signal));
    case 'start': {
      const replica = needReplica(context, operation.replica);
      await replica.start(signal);
      return runPostStart(replica, context.replicaContext, signal);
    }
    case 'pre-start': {
      await removeOldHook(context.replicas.get(operation.replica));
      const replica = createHook(context, operation);
      const { service, index } = operation;
      await runPreStartHook({ service, index, replica, bus: context.bus, lastLines: context.lastLines }, signal);
      await replica.remove('remove');
      context.replicas.delete(operation.replica);
      return;
    }
    case 'stop': {
      const replica = context.replicas.get(operation.replica);
      if (replica === undefined) {
        // A one-off with --rm that has ended in the meantime.
        return;
      }
      if (!replica.row.oneOff || operation.oneOffHooks) {
        await runPreStop(replica, context.replicaContext, signal);
      }
      const graceMs = operation.timeout === undefined ? replica.row.spec.stopGraceMs : operation.timeout * 1000;
      return replica.stop({ graceMs, byUser: true });
    }
    case 'kill':
      return needReplica(context, operation.replica).kill(operation.signal);
    case 'pause':
      return needReplica(context, operation.replica).pause();
    case 'unpause':
      return needReplica(context, operation.replica).unpause();
    case 'save':
      return bootTurn(() => needReplica(context, operation.replica).suspension.save(signal));
    case 'suspend':
      return needReplica(context, operation.replica).suspension.suspend(operation.paused);
    case 'resume':
      return bootTurn(() => resumeReplica(context, operation.replica, signal));
    case 'remove':
      await context.replicas.get(operation.replica)?.remove(operation.volumes);
      context.replicas.delete(operation.replica);
      return;
    case 'await':
      return awaitDependency(context, operation, signal);
  }
};

const needDesired = (context: OperationContext): DesiredStack => {
  if (context.desired === undefined) {
    throw new HyprError('HYPR_INTERNAL', 'this plan creates nothing');
  }
  return context.desired;
};

/** `down` leaves one-offs and orphans that run, and so the network they are on. */
const refuseUsed = ({ replicas }: OperationContext, network: string): void => {
  const isOn = ({ row }: Replica) => hasMachine(row.state) && row.spec.networks.some(({ key }) => key === network);
  const users = [...replicas.values()].filter(isOn).map(({ row }) => row.name);
  if (users.length > 0) {
    throw new HyprError('NETWORK_IN_USE', `network ${network} has active endpoints: ${users.join(', ')}`);
  }
};

const needReplica = (context: OperationContext, name: string): Replica => {
  const replica = context.replicas.get(name);
  if (replica === undefined) {
    throw new HyprError('HYPR_INTERNAL', `there is no replica ${name}`);
  }
  return replica;
};

const createReplica = async (context: OperationContext, target: ReplicaTarget): Promise<void> => {
  const desired = needDesired(context);
  const wanted = desired.services[target.service];
  addReplica(context, target, {
    oneOff: wanted?.oneOff === true && !desired.isOrdinary,
    configHash: wanted?.configHash ?? '',
    imageId: wanted?.imageId ?? '',
    spec: desired.specOf(target.service, target.number),
  });
};

/** Counts as a one-off of its service: it is none of its replicas, and what is left of it is an orphan. */
const createHook = (context: OperationContext, operation: ReplicaTarget & { key: string; index: number }): Replica => {
  const desired = needDesired(context);
  return addReplica(context, operation, {
    oneOff: true,
    configHash: '',
    imageId: desired.hookImageId(operation),
    spec: desired.hookSpecOf(operation, operation.service, operation.number),
  });
};

const addReplica = (
  context: OperationContext,
  { replica: name, service, number }: ReplicaTarget,
  what: Pick<VmRow, 'oneOff' | 'configHash' | 'imageId' | 'spec'>,
): Replica => {
  const row: VmRow = {
    id: randomBytes(32).toString('hex'),
    stack: context.stack,
    service,
    number,
    name,
    state: 'created',
    health: 'none',
    exitCode: 0,
    reason: undefined,
    restarts: 0,
    machine: undefined,
    saved: undefined,
    published: [],
    stoppedByUser: false,
    // After every run of the replica that it replaces: by that its lines are told from theirs.
    createdAt: newRun(),
    startedAt: undefined,
    finishedAt: undefined,
    bootMs: undefined,
    run: undefined,
    ...what,
  };
  const replica = new Replica(row, context.replicaContext);
  replica.create();
  context.replicas.set(name, replica);
  return replica;
};

/** One of a supervisor that was killed may still run, taken over by this one. */
const removeOldHook = async (old: Replica | undefined): Promise<void> => {
  await old?.stop({ graceMs: 0, byUser: true });
  await old?.remove('remove');
};

/** Resumes a replica; one whose saved memory cannot be used starts afresh with the disks it had. */
const resumeReplica = async (context: OperationContext, name: string, signal: AbortSignal): Promise<void> => {
  const replica = needReplica(context, name);
  const problem = await replica.suspension.resume(signal);
  if (problem !== undefined) {
    context.bus.emit({ type: 'warning', message: `${name} could not go on where it was and starts afresh: ${problem}` });
    await replica.boot(signal);
    await replica.start(signal);
    await runPostStart(replica, context.replicaContext, signal);
  }
};

const awaitDependency = async (context: OperationContext, operation: Operation & { type: 'await' }, signal: AbortSignal): Promise<void> => {
  const { service, condition, required } = operation;
  const replicas = () => [...context.replicas.values()].filter((replica) => replica.row.service === service && !replica.row.oneOff);
  const waiting = condition === 'service_started' ? [] : replicas();
  for (const replica of waiting) {
    context.bus.emit({ type: 'progress', progress: { id: `Container ${replica.row.name}`, status: 'working', text: 'Waiting' } });
  }
  try {
    await awaitReplicas({ replicas, bus: context.bus, verdict: judgeCondition(condition, context.lastLines) }, signal);
  } catch (error) {
    if (required || signal.aborted) {
      throw error;
    }
    context.bus.emit({ type: 'warning', message: `optional dependency "${service}" failed to start: ${messageOf(error)}` });
  }
  for (const replica of waiting) {
    const text = condition === 'service_healthy' ? 'Healthy' : 'Exited';
    context.bus.emit({ type: 'progress', progress: { id: `Container ${replica.row.name}`, status: 'done', text } });
  }
};
