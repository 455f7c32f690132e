import type { ReplicaDetail } from '../../model/types.ts';
import { hasLabel, isYes, type Judges, matchesName } from '../http/filters.ts';
import { labelsOf } from './container.ts';
import { familiarName, imageRepository } from './names.ts';
import { stateWord } from './status.ts';

/** docker's filters of containers. `createdOf`: when the container of a name was made; throws where there is none. */
export const containerJudges = (createdOf: (reference: string) => number): Judges<ReplicaDetail> => ({
  id: ({ status }, value) => status.id.startsWith(value),
  name: ({ status }, value) => matchesName(status.name, value),
  label: (detail, value) => hasLabel(labelsOf(detail), value),
  status: ({ status }, value) => stateWord(status) === value,
  exited: ({ status }, value) => stateWord(status) === 'exited' && status.exitCode === Number(value),
  health: ({ status }, value) => status.health === value,
  ancestor: ({ status }, value) => isImage(status, value),
  network: ({ networks }, value) => networks.some(({ name, id }) => name === value || id.startsWith(value)),
  volume: ({ status, spec }, value) => status.volumes.includes(value) || spec.mounts.some(({ target }) => target === value),
  publish: ({ status }, value) => status.ports.some((port) => isPort(value, port.hostPort, port.protocol)),
  expose: ({ status }, value) => status.exposed.includes(value.includes('/') ? value : `${value}/tcp`),
  before: ({ status }, value) => status.createdAt < createdOf(value),
  since: ({ status }, value) => status.createdAt > createdOf(value),
  'is-task': (_, value) => !isYes(value),
  isolation: () => true,
});

const isImage = (status: ReplicaDetail['status'], value: string): boolean => {
  const { repository, tag } = imageRepository(status.image);
  const wanted = familiarName(value);
  return (
    wanted === repository ||
    wanted === `${repository}:${tag}` ||
    status.imageId.replace('sha256:', '').startsWith(value.replace('sha256:', ''))
  );
};

const isPort = (wanted: string, port: number, protocol: string): boolean => {
  const [range = '', proto = 'tcp'] = wanted.split('/');
  const [first = 0, last = first] = range.split('-').map(Number);
  return proto === protocol && port >= first && port <= last;
};
