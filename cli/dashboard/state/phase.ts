import { sanitiseLog, sanitiseName } from '../../../base/sanitise.ts';
import type { ReplicaStatus } from '../../../engine/model/events.ts';
import { elapsed, humanSize, shortDuration } from '../../format/units.ts';
import { isEnded, type Vertex } from '../../render/build-log.ts';
import type { DashboardModel } from './model.ts';
import { unmetNeeds } from './plan.ts';

/** What a replica is busy with before it runs. */
export interface Phase {
  /** `building`, `pulling`, `waiting`. */
  readonly state: string;
  /** `12.3s [2/3] RUN make`, `12s for db: healthy`. */
  readonly detail: string;
  /** The last line of output of a build. */
  readonly output?: string;
  readonly failed?: true;
}

/** What a replica that does not run yet is busy with or waits for; undefined: nothing that could be told. */
export const phaseOf = (model: DashboardModel, replica: ReplicaStatus): Phase | undefined => {
  const isBefore = replica.state === 'created' || (replica.state === 'starting' && replica.restarts === 0);
  if (!isBefore) {
    return undefined;
  }
  const planned = model.plan.find(({ service }) => service === replica.service);
  const image = `Image ${planned?.image ?? ''}`;
  return buildPhase(model, planned?.image) ?? (replica.id === '' ? pullPhase(model, image) : undefined) ?? waitPhase(model, replica);
};

/** The step under way of the build that makes the image. */
const buildPhase = (model: DashboardModel, image: string | undefined): Phase | undefined => {
  const makers = model.plan.filter((planned) => planned.image === image).map(({ service }) => service);
  const vertices = makers.flatMap((service) => model.builds.get(service)?.vertices ?? []);
  const vertex = vertices.find(({ state }) => state === 'error') ?? vertices.findLast((each) => !isEnded(each));
  if (vertex === undefined) {
    const isBuilding = model.progress.get(`Image ${image}`);
    return isBuilding?.status === 'working' && isBuilding.text === 'Building' ? { state: 'building', detail: '' } : undefined;
  }
  const failed = vertex.state === 'error';
  const output = vertex.tail.findLast((line) => line.trim() !== '');
  return {
    state: failed ? 'build failed' : 'building',
    detail: `${elapsed(vertex.duration ?? model.now() - vertex.startedAt)} ${vertex.name}`,
    ...(output === undefined ? {} : { output: lastOutput(vertex, output) }),
    ...(failed ? { failed } : {}),
  };
};

const lastOutput = (vertex: Vertex, line: string): string =>
  sanitiseLog(vertex.state === 'error' ? (vertex.error ?? line) : line, { color: false });

const pullPhase = (model: DashboardModel, image: string): Phase | undefined => {
  const progress = model.progress.get(image);
  if (progress === undefined || progress.status === 'done') {
    return undefined;
  }
  const parts = [...(model.parts.get(image)?.values() ?? [])];
  const sum = (of: 'current' | 'total'): number => (progress[of] ?? 0) + parts.reduce((all, part) => all + (part[of] ?? 0), 0);
  const amount = sum('total') === 0 ? '' : `${humanSize(sum('current'))}/${humanSize(sum('total'))}`;
  if (progress.status === 'error') {
    return { state: 'pull failed', detail: sanitiseName(progress.details ?? ''), failed: true };
  }
  return { state: sanitiseName(progress.text).toLowerCase(), detail: amount };
};

const waitPhase = (model: DashboardModel, replica: ReplicaStatus): Phase | undefined => {
  const planned = model.plan.find(({ service }) => service === replica.service);
  if (model.operation === undefined) {
    return undefined;
  }
  const since = shortDuration(model.now() - Math.max(model.operationSince, replica.createdAt));
  const images = [...model.progress.values()].filter(({ id, status }) => id.startsWith('Image ') && status === 'working');
  if (replica.id === '' && images.length > 0) {
    return {
      state: 'waiting',
      detail: `${since} for ${images.length === 1 ? sanitiseName(images[0]?.id ?? '').replace('Image', 'image') : `${images.length} images`}`,
    };
  }
  const unmet = unmetNeeds(planned, model.replicas.values()).map(({ service, what }) => `${service}: ${what}`);
  if (unmet.length > 0) {
    return { state: 'waiting', detail: `${since} for ${unmet.join(', ')}` };
  }
  return replica.id === '' ? { state: 'planned', detail: '' } : undefined;
};
