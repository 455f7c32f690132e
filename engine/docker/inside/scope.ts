import type { RecordedEvent } from '../../model/events.ts';
import type { ReplicaDetail } from '../../model/types.ts';

type Labels = Readonly<Record<string, string>>;

/** Whether it is recorded as a machine that the scope sees: what an event has is mixed with the labels of its image. */
type IsSeen = (id: string) => boolean;

/** What a machine with docker's socket may do by it, and with whose objects. */
export interface Scope {
  /** `remove`: what it sees it may also stop and remove. */
  readonly may: 'read' | 'remove' | 'everything';
  readonly sees: (machine: ReplicaDetail) => boolean;
  /** Whether its environment, which has passwords, and paths of this host are among that. */
  readonly seesWhole: (machine: ReplicaDetail) => boolean;
  /** Whether an event is told. */
  readonly hearsOf: (event: RecordedEvent, isSeen: IsSeen) => boolean;
  /** Networks, volumes and images that no machine it sees need have. */
  readonly owns: (object: { readonly stack?: string; readonly labels: Labels }) => boolean;
}

const MARK = 'org.testcontainers';
/** By which the libraries of Testcontainers mark what one run of tests made; which of them depends on the language. */
const SESSIONS = [`${MARK}.session-id`, `${MARK}.sessionId`];
const PROJECT = 'com.docker.compose.project';

/**
 * Of a machine. Its own stack is all that it sees, and it changes nothing. Ryuk, which removes what a run of Testcontainers left, sees what
 * has the labels of its run, and may remove it; only machines that a client of docker's API made can be one. With `full` access it is as if
 * its user asked.
 */
export const scopeOf = (own: ReplicaDetail): Scope => {
  if (own.spec.mounts.some((mount) => mount.kind === 'docker' && mount.access === 'full')) {
    return { may: 'everything', sees: () => true, seesWhole: () => true, hearsOf: () => true, owns: () => true };
  }
  // Labels of an image, here and in what is seen, are anybody's word.
  const labels = own.standalone ? own.requestLabels : {};
  const wanted = SESSIONS.filter((key) => labels[key] !== undefined).map((key) => [key, labels[key]]);
  if (labels[MARK] === 'true' || wanted.length > 0) {
    const marks = wanted.length > 0 ? wanted : [[MARK, 'true']];
    const isOfSession = (found: Labels): boolean => marks.some(([key = '', value]) => found[key] === value);
    return {
      may: 'remove',
      sees: (machine) => isOfSession(machine.requestLabels),
      seesWhole: () => true,
      hearsOf: ({ type, id, attributes }, isSeen) => type === 'container' && isOfSession(attributes) && isSeen(id),
      owns: (object) => isOfSession(object.labels),
    };
  }
  const project = own.standalone ? labels[PROJECT] : undefined;
  const isOfProject = (found: Labels): boolean => project !== undefined && found[PROJECT] === project;
  return {
    may: 'read',
    seesWhole: ({ stack, status }) => stack === own.stack && status.service === own.status.service,
    sees: (machine) => machine.stack === own.stack || (machine.standalone && isOfProject(machine.requestLabels)),
    hearsOf: ({ type, stack, id, attributes }, isSeen) =>
      type === 'container' && (stack === own.stack || (isOfProject(attributes) && isSeen(id))),
    owns: ({ stack, labels: found }) => stack === own.stack || (stack === '' && isOfProject(found)),
  };
};
