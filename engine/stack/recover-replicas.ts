import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import type { EventBus } from '../logs/bus.ts';
import { silenceMessage } from '../replica/recovery.ts';
import type { Replica } from '../replica/replica.ts';
import type { StackVolumes } from '../resources/volumes.ts';

const log = logger('recover');

interface Context {
  readonly lostNetworks: ReadonlySet<string>;
  readonly volumes: StackVolumes;
  /** Where is told what became of machines that did not answer at first. */
  readonly bus: EventBus;
}

const UNWATCHED = 'its machine ended while no supervisor was watching';

/** What there is of a replica, and what it comes to when all have been looked at. */
type Found = { readonly replica: Replica } & (
  | { readonly is: 'settled'; readonly message: string }
  | { readonly is: 'to-start-again'; readonly why: string }
  | { readonly is: 'restarting' }
  /** `kept`: why it cannot be taken over. */
  | { readonly is: 'silent'; readonly kept: string | undefined }
  | { readonly is: 'lost'; readonly reason: string }
);

/**
 * Takes over the replicas of a supervisor that was killed, and starts again what has to: only once all are taken over, because a
 * machine that ends stops those first that run in it. Gives a message about each.
 */
export const recoverReplicas = async (
  replicas: readonly Replica[],
  context: Context,
  signal: AbortSignal,
): Promise<ReadonlyArray<{ readonly name: string; readonly message: string }>> => {
  const look = (replica: Replica): Promise<Found> => lookAt(replica, context, signal);
  const owners = await Promise.all(replicas.filter(({ row }) => row.spec.shares === undefined).map(look));
  const members = await Promise.all(replicas.filter(({ row }) => row.spec.shares !== undefined).map(look));
  const runOn = new Set(owners.flatMap(({ replica, is }) => (is === 'settled' || is === 'silent' ? [replica.row.name] : [])));
  for (const { replica, is } of [...members, ...owners]) {
    if (is === 'silent') {
      void settleLater(replica, replicas, context);
    }
  }
  const settle = async (found: Found) => ({ name: found.replica.row.name, message: await settleFound(found, runOn) });
  // Members begin first: those that start with their machine have to be known before it starts.
  return Promise.all([...members, ...owners].map(settle));
};

const lookAt = async (replica: Replica, { lostNetworks, volumes }: Context, signal: AbortSignal): Promise<Found> => {
  const { name } = replica.row;
  if (replica.row.state === 'suspended') {
    await replica.suspension.finish();
    return { replica, is: 'settled', message: `${name} is suspended` };
  }
  if (replica.row.state === 'restarting' && replica.row.machine === undefined) {
    return { replica, is: 'restarting' };
  }
  const adopted = await replica.recovery.adopt(signal);
  if (adopted === 'silent' || adopted === 'kept') {
    return { replica, is: 'silent', kept: replica.adoption.keptFor };
  }
  if (adopted === 'gone') {
    return { replica, is: 'lost', reason: UNWATCHED };
  }
  replica.recovery.resumeStop();
  return lookAtAdopted(replica, { lostNetworks, volumes });
};

const lookAtAdopted = (replica: Replica, { lostNetworks, volumes }: Omit<Context, 'bus'>): Found => {
  const { name } = replica.row;
  if (replica.row.spec.networks.some((network) => lostNetworks.has(network.key))) {
    return { replica, is: 'to-start-again', why: 'its network had ended' };
  }
  // What carried the volume was the supervisor.
  if (volumes.borrows(replica.row)) {
    return replica.row.oneOff
      ? { replica, is: 'settled', message: `${name} is taken over, and has lost the volume that another machine served` }
      : { replica, is: 'to-start-again', why: 'it had lost the volume that another machine served' };
  }
  const { reason } = replica.row;
  return { replica, is: 'settled', message: reason === undefined ? `${name} is taken over` : `${name} is taken over, but ${reason}` };
};

/** Goes on with a replica whose machine did not answer in time: when it does, it is as if it had been taken over at once. Never rejects. */
const settleLater = async (replica: Replica, all: readonly Replica[], context: Context): Promise<void> => {
  const { name, state } = replica.row;
  const ended = await replica.adoption.ended();
  if (ended === undefined) {
    return;
  }
  if (state === 'stopping' && ended === 'adopted') {
    replica.recovery.resumeStop();
  }
  const found: Found =
    ended === 'adopted' ? lookAtAdopted(replica, context) : { replica, is: 'lost', reason: 'its machine ended while it did not respond' };
  const runOn = new Set(all.flatMap(({ row, run, adoption }) => (run !== undefined || adoption.isPending ? [row.name] : [])));
  // A stop that waited for it ends it.
  const isLeft = found.is === 'settled' || (found.is === 'to-start-again' && replica.row.stoppedByUser);
  const message = isLeft ? `${name} responds again` : await settleFound(found, runOn);
  context.bus.emit({ type: 'warning', message });
  log.info('recovered', { replica: name, message });
  replica.recovery.settled();
};

/** `runOn`: machines that others may run in and that neither ended nor start again. */
const settleFound = async (found: Found, runOn: ReadonlySet<string>): Promise<string> => {
  const { replica } = found;
  const { shares } = replica.row.spec;
  if (found.is === 'settled') {
    return found.message;
  }
  if (shares !== undefined && !replica.row.oneOff && !runOn.has(shares.replica)) {
    return settleWithOwner(found, shares.replica);
  }
  if (found.is === 'to-start-again') {
    return startAgain(replica, found.why);
  }
  if (found.is === 'restarting') {
    replica.recovery.resumeRestart();
    return `${replica.row.name} was about to restart`;
  }
  if (found.is === 'silent') {
    return silenceMessage(replica.row, found.kept);
  }
  return settleLost(replica, found.reason);
};

/** The machine starts it when it starts again, and stops it before if it runs. */
const settleWithOwner = ({ replica, is }: Found, owner: string): string => {
  const { name, startedAt } = replica.row;
  if (is !== 'to-start-again') {
    replica.recovery.lostWithOwner(`the machine of ${owner} ended while no supervisor was watching`);
  }
  return startedAt === undefined ? `${name} had not been started` : `${name} starts with the machine of ${owner}`;
};

const settleLost = (replica: Replica, reason: string): string => {
  const { name, startedAt } = replica.row;
  if (startedAt === undefined) {
    replica.recovery.lost('');
    return `${name} had not been started`;
  }
  replica.recovery.lost(reason);
  return replica.row.state === 'restarting' ? `${name} had ended and is started again by its restart policy` : `${name} had ended`;
};

const startAgain = async (replica: Replica, why: string): Promise<string> => {
  try {
    await replica.startAgain();
    return `${replica.row.name} was restarted, because ${why}`;
  } catch (error) {
    return `${replica.row.name} could not be started again, and ${why}: ${messageOf(error)}`;
  }
};
