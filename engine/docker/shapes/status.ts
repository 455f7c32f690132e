import type { ReplicaStatus } from '../../model/events.ts';
import { ago, humanDuration } from './durations.ts';

/** docker's STATUS column: `Up 2 seconds (healthy)`, `Exited (0) 3 seconds ago`. */
export const formatStatus = (replica: ReplicaStatus, now: number): string => {
  const since = (time: number | undefined): string => ago(time ?? replica.createdAt, now);
  const up = `Up ${humanDuration(Math.max(0, now - (replica.startedAt ?? replica.createdAt)))}`;
  switch (replica.state) {
    case 'running':
    case 'stopping':
      return `${up}${stallSuffix(replica, now)}${healthSuffix(replica)}`;
    case 'paused':
      return `${up} (Paused)`;
    case 'suspended':
      return 'Suspended';
    case 'restarting':
      return `Restarting (${replica.exitCode}) ${since(replica.finishedAt)}`;
    case 'exited':
      return `Exited (${replica.exitCode}) ${since(replica.finishedAt)}`;
    case 'starting':
      return isStartedAgain(replica) ? `Restarting (${replica.exitCode}) ${since(replica.finishedAt)}` : 'Starting';
    case 'dead':
      return 'Dead';
    case 'created':
      return 'Created';
  }
};

/** What docker has no words for, because its containers share the host's kernel and disk cache. */
const stallSuffix = ({ stall }: ReplicaStatus, now: number): string =>
  stall === undefined
    ? ''
    : stall.kind === 'full'
      ? ' (held: disk full)'
      : ` (not responding for ${humanDuration(Math.max(0, now - stall.since)).toLowerCase()})`;

const healthSuffix = (replica: ReplicaStatus): string => {
  if (replica.health === 'none') {
    return '';
  }
  return replica.health === 'starting' ? ' (health: starting)' : ` (${replica.health})`;
};

/** docker has no `starting` and `stopping`: they are shown as created and running, and a start by the restart policy as restarting. */
export const psState = (replica: ReplicaStatus): string => {
  if (replica.state === 'stopping') {
    return 'running';
  }
  if (replica.state === 'starting') {
    return isStartedAgain(replica) ? 'restarting' : 'created';
  }
  return replica.state;
};

/** Its restart policy boots it: for docker that is still the pause between two runs. */
const isStartedAgain = ({ restarts, finishedAt }: Pick<ReplicaStatus, 'restarts' | 'finishedAt'>): boolean =>
  restarts > 0 && finishedAt !== undefined;

/** docker's names for all states, as its API has them. */
export const stateWord = (replica: Pick<ReplicaStatus, 'state'>): string => STATES[replica.state] ?? replica.state;

const STATES: Readonly<Record<string, string>> = { starting: 'created', stopping: 'running', suspended: 'paused' };

/** Arguments joined as docker shows a command: those with spaces in single quotes. */
export const joinCommand = (args: readonly string[]): string => args.map((arg) => (arg.includes(' ') ? `'${arg}'` : arg)).join(' ');
