import { sanitiseName } from '../../../base/sanitise.ts';
import type { NamedService } from '../../names/directory.ts';
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
  for (const each of input.names) {
    if (isShown(each, replicas)) {
      const services = stacks.get(each.stack) ?? new Map<string, IndexService>();
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

const countReplicas = (names: readonly NamedService[]): Map<string, number> => {
  const counts = new Map<string, number>();
  for (const { stack, service, replica } of names) {
    if (replica !== undefined) {
      const key = `${stack}/${service}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  return counts;
};

/** The project's own name is that of its first web service, which has a row; so has a service's only replica. */
const isShown = ({ host, stack, service, replica }: NamedService, replicas: Map<string, number>): boolean =>
  !host.startsWith('*') &&
  (replica === undefined ? service === undefined || host !== stack : (replicas.get(`${stack}/${service}`) ?? 0) > 1);

const addName = (services: Map<string, IndexService>, each: NamedService): void => {
  const key = keyOf(each);
  const name = { host: each.host.replace(/\.$/, ''), full: each.host.endsWith('.'), https: each.https };
  const known = services.get(key);
  if (known !== undefined) {
    // The name made of service and stack comes first.
    name.full ? known.names.push(name) : known.names.unshift(name);
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
