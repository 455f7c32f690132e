import type { ReplicaDetail } from '../../model/types.ts';
import { ApiError } from '../http/errors.ts';
import { type Checks, hasLabel, isYes, type Judges, nameJudge } from '../http/filters.ts';
import { labelsOf } from './container.ts';
import { familiarName, imageRepository } from './names.ts';
import { stateWord } from './status.ts';

/** docker's filters of containers. `createdOf`: when the container of a name was made; throws where there is none. */
export const containerJudges = (createdOf: (reference: string) => number): Judges<ReplicaDetail> => ({
  id: ({ status }, value) => status.id.startsWith(value),
  name: nameJudge(({ status }) => status.name),
  label: (detail, value) => hasLabel(labelsOf(detail), value),
  status: ({ status }, value) => stateWord(status) === value,
  exited: ({ status }, value) => stateWord(status) === 'exited' && status.exitCode === Number(value),
  health: ({ status }, value) => status.health === value,
  ancestor: ({ status }, value) => isImage(status, value),
  network: ({ networks }, value) => networks.some(({ name, id }) => name === value || id.startsWith(value)),
  volume: ({ status, spec }, value) => status.volumes.includes(value) || spec.mounts.some(({ target }) => target === value),
  publish: ({ status }, value) => status.ports.some((port) => isPort(value, port.hostPort, port.protocol)),
  expose: ({ status }, value) => status.exposed.some((port) => isPort(value, ...portOf(port))),
  before: ({ status }, value) => status.createdAt < createdOf(value),
  since: ({ status }, value) => status.createdAt > createdOf(value),
  'is-task': (_, value) => !isYes(value),
  isolation: () => true,
});

/** What docker refuses of their values with 400. `find` throws where there is no such container. */
export const containerChecks = (find: (reference: string) => unknown): Checks => ({
  before: find,
  since: find,
  ...Object.fromEntries(
    Object.entries(VALUES).map(([key, known]) => [
      key,
      (value: string) => {
        if (!known.test(value)) {
          throw new ApiError(400, `invalid filter '${key}=${value}'`);
        }
      },
    ]),
  ),
});

const VALUES: Readonly<Record<string, RegExp>> = {
  status: /^(created|restarting|running|removing|paused|exited|dead)$/,
  health: /^(starting|healthy|unhealthy|none)$/,
  exited: /^-?\d+$/,
  isolation: /^(default|process|hyperv)$/,
  publish: /^\d{1,5}(-\d{1,5})?(\/(tcp|udp|sctp))?$/,
  expose: /^\d{1,5}(-\d{1,5})?(\/(tcp|udp|sctp))?$/,
};

const isImage = (status: ReplicaDetail['status'], value: string): boolean => {
  const { repository, tag } = imageRepository(status.image);
  const wanted = familiarName(value);
  return (
    wanted === repository ||
    wanted === `${repository}:${tag}` ||
    status.imageId.replace('sha256:', '').startsWith(value.replace('sha256:', ''))
  );
};

/** Of `80/tcp`. */
const portOf = (text: string): [number, string] => {
  const [port = '', protocol = 'tcp'] = text.split('/');
  return [Number(port), protocol];
};

const isPort = (wanted: string, port: number, protocol: string): boolean => {
  const [range = '', proto = 'tcp'] = wanted.split('/');
  const [first = 0, last = first] = range.split('-').map(Number);
  return proto === protocol && port >= first && port <= last;
};
