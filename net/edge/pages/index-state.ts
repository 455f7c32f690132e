import { sanitiseName } from '../../../base/sanitise.ts';
import type { NamedService } from '../../names/directory.ts';
import { dnsLabel } from '../../names/stack-names.ts';
import type { EdgeEvent, LogSource } from '../http/types.ts';

/** What the index page shows, as JSON. */
export interface IndexState {
  readonly domain: string;
  readonly stacks: ReadonlyArray<{
    readonly name: string;
    readonly services: IndexService[];
    readonly logs: Array<{ replica: string; line: string }>;
  }>;
}

interface IndexService {
  readonly name: string;
  state: string;
  health?: string;
  readonly names: Array<{ readonly host: string; readonly full: boolean; readonly https: boolean }>;
  readonly ports: NamedService['ports'];
  /** The port that its names lead to. */
  readonly web?: number;
  /** The project's own name is its, too: the first service of the file with a web port. */
  root?: true;
  note?: string;
}

type RecentLine = Awaited<ReturnType<LogSource['recent']>>[number];

/** Groups names by stack and service: a service has one row with all its names, and each replica has one only if there are several. */
export const indexState = (
  input: { readonly domain: string; readonly names: readonly NamedService[] },
  lines: readonly RecentLine[],
  notes: readonly EdgeEvent[],
): IndexState => {
  const stacks = new Map<string, Map<string, IndexService>>();
  const replicas = countReplicas(input.names);
  // The project's own name last: it is another name of a service that has a row, or that of a machine of `hypr run`, which has no other.
  const ordered = [...input.names.filter((each) => !isProject(each)), ...input.names.filter(isProject)];
  for (const each of ordered) {
    const services = stacks.get(each.stack) ?? new Map<string, IndexService>();
    const known = services.get(keyOf(each));
    if (isProject(each) && known !== undefined) {
      known.root = true;
    } else if (isShown(each, replicas)) {
      stacks.set(each.stack, services);
      addName(services, each);
    }
  }
  for (const note of notes) {
    const service = stacks.get(note.stack)?.get(note.service);
    if (service !== undefined) {
      service.note = `${note.program} refuses ${sanitiseName(note.host)}: set ${sanitiseName(note.setting)}`;
    }
  }
  return {
    domain: input.domain,
    stacks: [...stacks].map(([name, services]) => ({
      name,
      services: [...services.values()],
      logs: lines
        .filter((line) => line.stack === name)
        .map(({ replica, line }) => ({ replica: sanitiseName(replica), line: sanitiseName(line).slice(0, 500) })),
    })),
  };
};

const keyOf = ({ service, replica, host }: NamedService): string => replica ?? service ?? host;

const isProject = ({ host, stack, replica }: NamedService): boolean => replica === undefined && host === dnsLabel(stack);

/** Of each service; a replica may have several names. */
const countReplicas = (names: readonly NamedService[]): Map<string, number> => {
  const found = new Map<string, Set<string>>();
  for (const { stack, service, replica } of names) {
    if (replica !== undefined) {
      const key = `${stack}/${service}`;
      found.set(key, (found.get(key) ?? new Set()).add(replica));
    }
  }
  return new Map([...found].map(([key, replicaNames]) => [key, replicaNames.size]));
};

/** A service's only replica has no row of its own. */
const isShown = ({ host, stack, service, replica }: NamedService, replicas: Map<string, number>): boolean =>
  !host.startsWith('*') && (replica === undefined || (replicas.get(`${stack}/${service}`) ?? 0) > 1);

const addName = (services: Map<string, IndexService>, each: NamedService): void => {
  const key = keyOf(each);
  const name = { host: each.host.replace(/\.$/, ''), full: each.host.endsWith('.'), https: each.https };
  const known = services.get(key);
  if (known !== undefined) {
    // The name made of service and stack comes first.
    isOwn(each) ? known.names.unshift(name) : known.names.push(name);
    return;
  }
  services.set(key, {
    name: key,
    state: each.state,
    ...(each.health === undefined || each.health === 'none' ? {} : { health: each.health }),
    names: [name],
    ports: each.ports,
    ...(each.webPort === undefined ? {} : { web: each.webPort }),
  });
};

const isOwn = ({ host, stack, service = '' }: NamedService): boolean => host === `${dnsLabel(service)}.${dnsLabel(stack)}`;
