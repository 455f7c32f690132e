import type { DependsCondition, Project } from '../../../compose/model/model.ts';
import { imageReference } from '../../../engine/images/images.ts';
import type { ReplicaStatus } from '../../../engine/model/events.ts';
import { replicaName } from '../../../engine/model/names.ts';

/** A service that is to run. */
export interface PlannedService {
  readonly service: string;
  /** Names of its replicas. */
  readonly replicas: readonly string[];
  /** The image as progress names it. */
  readonly image: string;
  readonly needs: ReadonlyArray<{ readonly service: string; readonly condition: DependsCondition }>;
}

/** The services that `up` of some (none: all) brings up, with what these need. */
export const planOf = (project: Project, services: readonly string[], scale: Readonly<Record<string, number>>): PlannedService[] => {
  const wanted = new Set<string>();
  const visit = (service: string): void => {
    if (!wanted.has(service) && project.services[service] !== undefined) {
      wanted.add(service);
      for (const needed of Object.keys(project.services[service].depends_on ?? {})) {
        visit(needed);
      }
    }
  };
  for (const service of services.length > 0 ? services : Object.keys(project.services)) {
    visit(service);
  }
  return [...wanted].sort().map((service) => {
    const { container_name: own, depends_on: needs = {}, deploy, scale: written } = project.services[service] ?? {};
    const count = scale[service] ?? written ?? deploy?.replicas ?? 1;
    return {
      service,
      replicas: Array.from({ length: count }, (_, index) => own ?? replicaName(project, service, index + 1)),
      image: imageReference(project, service),
      needs: Object.entries(needs)
        .filter(([needed]) => wanted.has(needed))
        .map(([needed, { condition }]) => ({ service: needed, condition })),
    };
  });
};

/** As a replica that does not exist yet is shown. */
export const plannedReplica = (named: Pick<ReplicaStatus, 'name' | 'service' | 'number'>): ReplicaStatus => ({
  ...named,
  id: '',
  oneOff: false,
  image: '',
  imageId: '',
  command: [],
  state: 'created',
  health: 'none',
  exitCode: 0,
  restarts: 0,
  createdAt: 0,
  addresses: [],
  ports: [],
  exposed: [],
  labels: {},
  mounts: [],
  volumes: [],
});

export interface Unmet {
  readonly service: string;
  /** `healthy`, `started`, `completed`. */
  readonly what: string;
}

const WORDS: Readonly<Record<DependsCondition, string>> = {
  service_started: 'started',
  service_healthy: 'healthy',
  service_completed_successfully: 'completed',
};

/** The conditions of a service that do not hold yet. */
export const unmetNeeds = (planned: PlannedService | undefined, replicas: Iterable<ReplicaStatus>): Unmet[] => {
  const all = [...replicas];
  return (planned?.needs ?? [])
    .filter(({ service, condition }) => {
      const mine = all.filter((replica) => replica.service === service && !replica.oneOff);
      return mine.length === 0 || !mine.every((replica) => holds(condition, replica));
    })
    .map(({ service, condition }) => ({ service, what: WORDS[condition] }));
};

const holds = (condition: DependsCondition, { state, health, exitCode }: ReplicaStatus): boolean => {
  switch (condition) {
    case 'service_started':
      return state === 'running' || state === 'paused' || state === 'exited';
    case 'service_healthy':
      return state === 'running' && health === 'healthy';
    case 'service_completed_successfully':
      return state === 'exited' && exitCode === 0;
  }
};
