import { sanitiseLog, sanitiseName } from '../../base/sanitise.ts';
import type { Service } from '../../compose/model/model.ts';
import type { LogRecord, ReplicaStatus } from '../../engine/model/events.ts';
import { exitReason } from './exit-reason.ts';
import { ago, humanDuration, shortDuration } from './units.ts';

export interface WhyInput {
  readonly service: string;
  /** Of the Compose file; undefined where there is none. */
  readonly model: Service | undefined;
  /** Left out by its profiles. */
  readonly isDisabled: boolean;
  /** Of the whole stack. */
  readonly replicas: readonly ReplicaStatus[];
  /** What the next `up` would do with it. */
  readonly plan: readonly string[];
  /** Its last lines, oldest first. */
  readonly lines: readonly LogRecord[];
  readonly now: number;
}

/** Why a service does not run or is not ready: what it is, what it waits for, how it ended, what it said last. One line each. */
export const explainService = (input: WhyInput): string[] => {
  const { service, replicas, plan, lines } = input;
  const mine = replicas.filter((replica) => replica.service === service && !replica.oneOff).sort((a, b) => a.number - b.number);
  const isFine = mine.length > 0 && mine.every(isReady);
  return [
    ...(mine.length === 0 ? absent(input) : mine.flatMap((replica) => explainReplica(input, replica))),
    ...section('the next up would:', plan),
    ...(isFine || lines.length === 0
      ? []
      : section(
          'its last lines:',
          lines.map(({ line, stream }) => `${stream === 'stderr' ? '! ' : '  '}${sanitiseLog(line, { color: false })}`),
        )),
  ];
};

/** Runs, and is healthy if it has a health check; or has done what it was to do once. */
export const isReady = ({ state, health, exitCode, restarts, startedAt }: ReplicaStatus): boolean =>
  state === 'running'
    ? (health === 'none' || health === 'healthy') && !(restarts > 0 && startedAt === undefined)
    : state === 'exited' && exitCode === 0;

const section = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : [`  ${title}`, ...lines.map((line) => `    ${line}`)];

const absent = ({ service, model, isDisabled }: WhyInput): string[] => {
  if (isDisabled) {
    const profiles = (model?.profiles ?? []).join(', ');
    return [
      `${service} is not part of the stack: it is in the profile ${profiles}, which is not switched on`,
      `  fix: hypr --profile ${model?.profiles?.[0]} up`,
    ];
  }
  const scale = model?.scale ?? model?.deploy?.replicas;
  return scale === 0
    ? [`${service} has no replica: its scale is 0`, `  fix: hypr scale ${service}=1`]
    : [`${service} was never started, or was removed`, `  fix: hypr up -d ${service}`];
};

const explainReplica = (input: WhyInput, replica: ReplicaStatus): string[] => [
  `${sanitiseName(replica.name)}: ${stateLine(replica, input.now)}`,
  ...[...needLines(input), ...endLines(input, replica), ...healthLines(input, replica), ...portLines(replica), ...startLines(replica)].map(
    (line) => `  ${line}`,
  ),
];

const stateLine = (replica: ReplicaStatus, now: number): string => {
  const since = humanDuration(Math.max(0, now - (replica.startedAt ?? replica.createdAt))).toLowerCase();
  switch (replica.state) {
    case 'running':
      return `runs for ${since}${HEALTH[replica.health]}${replica.restarts > 0 ? `, after ${times(replica.restarts)}` : ''}`;
    case 'restarting':
    case 'starting':
      return replica.restarts > 0
        ? `is started again and again: ${times(replica.restarts)}, last exit code ${replica.exitCode}`
        : 'is being started';
    case 'exited':
      return `ended with ${replica.exitCode} ${ago(replica.finishedAt ?? replica.createdAt, now).toLowerCase()}${replica.restarts > 0 ? `, after ${times(replica.restarts)}` : ''}`;
    case 'dead':
      return 'its machine could not be started, or was lost';
    case 'created':
      return 'exists and was not started';
    case 'stopping':
      return 'is being stopped';
    case 'paused':
      return `is paused: hypr unpause ${replica.service}`;
    case 'suspended':
      return `is saved on disk: hypr resume ${replica.service}`;
  }
};

const HEALTH = { none: '', starting: ', its health check has not passed yet', healthy: ', healthy', unhealthy: ', unhealthy' } as const;

const times = (count: number): string => (count === 1 ? 'one restart' : `${count} restarts`);

/** The conditions of `depends_on` that do not hold, while it waits. */
const needLines = ({ model, replicas, service }: WhyInput): string[] => {
  const waits = replicas.some((replica) => replica.service === service && (replica.state === 'created' || replica.state === 'starting'));
  return waits ? Object.entries(model?.depends_on ?? {}).flatMap(([needed, { condition }]) => needLine(needed, condition, replicas)) : [];
};

const needLine = (needed: string, condition: string, replicas: readonly ReplicaStatus[]): string[] => {
  const theirs = replicas.filter((replica) => replica.service === needed && !replica.oneOff);
  const word = condition.replace('service_', '').replaceAll('_', ' ');
  if (theirs.length === 0) {
    return [`waits for ${needed} (${word}), which does not exist yet`];
  }
  return theirs
    .filter(({ state, health, exitCode }) =>
      condition === 'service_healthy'
        ? health !== 'healthy'
        : condition === 'service_completed_successfully'
          ? !(state === 'exited' && exitCode === 0)
          : state !== 'running' && state !== 'exited',
    )
    .map(({ state, health, exitCode, name }) => {
      const is =
        state === 'exited'
          ? `ended with ${exitCode}`
          : `is ${state}${health === 'none' ? '' : `, ${health === 'starting' ? 'not checked well yet' : health}`}`;
      return `waits for ${needed} (${word}): ${sanitiseName(name)} ${is}; hypr why ${needed}`;
    });
};

/** How it ended, where that is known beyond its code. */
const endLines = ({ model }: WhyInput, replica: ReplicaStatus): string[] => {
  if (
    replica.state !== 'exited' &&
    replica.state !== 'restarting' &&
    replica.state !== 'dead' &&
    !(replica.state === 'starting' && replica.restarts > 0)
  ) {
    return [];
  }
  if (replica.oomKilled === true) {
    const limit = model?.deploy?.resources?.limits?.memory;
    return [
      `the kernel killed it: out of memory${limit === undefined ? '' : ` (its limit is ${limit})`}`,
      'fix: give it more, mem_limit: or deploy.resources.limits.memory in the Compose file',
    ];
  }
  const reason = replica.reason === undefined ? exitReason(replica.exitCode) : sanitiseName(replica.reason);
  const program = replica.exitCode === 126 || replica.exitCode === 127 ? [`its program: ${sanitiseName(replica.command.join(' '))}`] : [];
  const policy =
    replica.state === 'exited' && replica.exitCode !== 0 ? [`restart: ${model?.restart ?? 'no'}: it is not started again by itself`] : [];
  return [...(reason === undefined ? [] : [reason]), ...program, ...policy];
};

const healthLines = ({ model }: WhyInput, { state, health, reason }: ReplicaStatus): string[] => {
  if (state !== 'running' || health === 'none' || health === 'healthy') {
    return [];
  }
  const check = model?.healthcheck;
  const test = Array.isArray(check?.test) ? check.test.join(' ') : check?.test;
  return [
    ...(reason === undefined ? [] : [sanitiseName(reason)]),
    ...(test === undefined
      ? []
      : [`checked by: ${sanitiseName(test)}, every ${check?.interval ?? '30s'}, unhealthy after ${check?.retries ?? 3} failures`]),
  ];
};

/** Published ports that nothing listens on, while it runs. */
const portLines = ({ state, ports, listeners }: ReplicaStatus): string[] => {
  if (state !== 'running' || listeners === undefined) {
    return [];
  }
  return ports
    .filter(({ protocol }) => protocol === 'tcp')
    .flatMap(({ port, hostPort }) => {
      const found = listeners.filter((listener) => listener.port === port);
      if (found.length === 0) {
        return [
          `nothing listens on port ${port}, which is published as ${hostPort}; it listens on: ${listeners.map((listener) => listener.port).join(', ') || 'nothing'}`,
        ];
      }
      return found.every(({ address }) => address === '127.0.0.1' || address === '::1')
        ? [`port ${port} is listened on at 127.0.0.1 only: nothing outside the machine reaches it; listen on 0.0.0.0`]
        : [];
    });
};

const startLines = ({ bootMs, startSpans = [] }: ReplicaStatus): string[] =>
  bootMs === undefined
    ? []
    : [
        `its last start: booted in ${seconds(bootMs)}${startSpans.length === 0 ? '' : ` (${startSpans.map(({ name, ms }) => `${name.split(':', 1)[0]} ${seconds(ms)}`).join(', ')})`}`,
      ];

const seconds = (ms: number): string => (ms < 60_000 ? `${(ms / 1000).toFixed(2)}s` : shortDuration(ms));
