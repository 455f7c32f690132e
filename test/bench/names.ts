import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withDeadline } from '../../base/deadline.ts';
import { runtimeDir } from '../../base/paths.ts';
import { connectApi } from '../../engine/api/client/client.ts';
import { eventFrom } from '../../engine/api/messages/events.ts';
import { askEdgeFor } from '../scenarios/names/edge-client.ts';
import { hyprBin, mustHypr } from '../support/cli.ts';
import { freePort } from '../support/free-port.ts';

const STACK = 'nametimes';
const MOST_MS = 120_000;

/** `asked` once: it was so already when it was looked at, and the time is that of one request. */
export interface NameTime {
  readonly ms: number;
  readonly asked: number;
}

/**
 * One for each round. `healthy`, `scaledUp`, `renamed`: from the event that says that the service, its second replica, or the service under
 * another name is healthy to an answer under its name. The others: from the end of the command to the edge's "no such name".
 */
export type NameTimes = Readonly<Record<Figure, readonly NameTime[]>>;

type Figure = 'healthy' | 'scaledUp' | 'renamed' | 'scaledDown' | 'oldGone' | 'down';

/**
 * How soon names come and go, by events: the edge is a process of its own (`hypr proxy serve`), and the service listens when this process
 * tells it to. `env` has HYPR_HOME and whatever images are pulled with. Throws HYPR_TIMEOUT when something takes two minutes.
 */
export const measureNames = async ({ env, rounds }: { env: NodeJS.ProcessEnv; rounds: number }): Promise<NameTimes> => {
  const folder = await mkdtemp(join(tmpdir(), 'hypr-bench-names-'));
  const port = await freePort();
  const place: Place = { folder, port, env: { ...env, HYPR_EDGE_PORT: String(port), HYPR_DNS_PORT: '0', COMPOSE_PROJECT_NAME: STACK } };
  const edge = await serveEdge(place);
  const times = { healthy: [], scaledUp: [], renamed: [], scaledDown: [], oldGone: [], down: [] } satisfies Record<Figure, NameTime[]>;
  try {
    for (let round = 0; round < rounds; round++) {
      await measureRound(place, (figure, time) => void (times[figure] as NameTime[]).push(time));
    }
    return times;
  } finally {
    await compose(place, 'down', '-t', '0').catch(() => {});
    const ended = once(edge, 'exit');
    edge.kill('SIGTERM');
    await ended;
    await rm(folder, { recursive: true, force: true });
  }
};

interface Place {
  readonly folder: string;
  /** The edge's. */
  readonly port: number;
  readonly env: NodeJS.ProcessEnv;
}

const measureRound = async (place: Place, add: (figure: Figure, time: NameTime) => void): Promise<void> => {
  await rm(join(place.folder, 'go'), { recursive: true, force: true });
  await mkdir(join(place.folder, 'go'));
  await writeFile(join(place.folder, 'compose.yaml'), fileOf('web'));
  await compose(place, 'up', '-d');
  const health = new Health(place);
  try {
    await health.follows;
    const first = health.until(`${STACK}-web-1`);
    await writeFile(join(place.folder, 'go/now'), '');
    await first;
    add('healthy', await untilStatus(place, 'web', 200));

    const second = health.until(`${STACK}-web-2`);
    const scaling = compose(place, 'up', '-d', '--wait', '--scale', 'web=2');
    await Promise.race([second, scaling.then(() => second)]);
    add('scaledUp', await untilStatus(place, 'web-2', 200));
    await scaling;
    await compose(place, 'up', '-d', '--scale', 'web=1');
    add('scaledDown', await untilStatus(place, 'web-2', 404));

    await writeFile(join(place.folder, 'compose.yaml'), fileOf('site'));
    const renamed = health.until(`${STACK}-site-1`);
    const renaming = compose(place, 'up', '-d', '--wait', '--remove-orphans');
    await Promise.race([renamed, renaming.then(() => renamed)]);
    add('renamed', await untilStatus(place, 'site', 200));
    await renaming;
    add('oldGone', await untilStatus(place, 'web', 404));
    await compose(place, 'down', '-t', '0');
    add('down', await untilStatus(place, 'site', 404));
  } finally {
    health.close();
  }
};

const fileOf = (service: string): string => `
services:
  ${service}:
    image: busybox:1.37
    command: ["sh", "-c", "while [ ! -e /go/now ]; do sleep 0.1; done; exec httpd -f -p 8080 -h /go"]
    volumes: ['./go:/go:ro']
    stop_grace_period: 0s
    healthcheck: {test: ['CMD', 'wget', '-q', '-O', '/dev/null', 'http://127.0.0.1:8080/now'], interval: 1s, timeout: 30s, start_period: 120s}
`;

const compose = (place: Place, ...args: string[]): Promise<string> =>
  mustHypr(['compose', ...args], { cwd: place.folder, env: place.env, timeout: MOST_MS });

/** Resolves once it serves. */
const serveEdge = async ({ env, folder }: Place): Promise<ChildProcess> => {
  const edge = spawn(hyprBin, ['proxy', 'serve'], { cwd: folder, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
  await withDeadline({ ms: MOST_MS, what: 'the edge' }, () => once(edge.stdout, 'data'));
  return edge;
};

/** How long it takes until the edge answers with that status under the service's name. */
const untilStatus = ({ port }: Place, label: string, wanted: number): Promise<NameTime> => {
  const begin = performance.now();
  return withDeadline({ ms: MOST_MS, what: `status ${wanted} of ${label}` }, async (signal) => {
    for (let asked = 1; ; asked++) {
      signal.throwIfAborted();
      // Asked again as soon as it has answered: what is measured is when a person's request would have succeeded.
      const answer = await askEdgeFor(`http://${label}.${STACK}.localhost:${port}/now`);
      answer.resume();
      if (answer.statusCode === wanted) {
        return { ms: performance.now() - begin, asked };
      }
    }
  });
};

/** Tells when replicas become healthy, as the supervisor says it. */
class Health {
  /** The first message has come: nothing that happens later is missed. */
  readonly follows: Promise<void>;
  readonly #waiting = new Map<string, () => void>();
  readonly #over = new AbortController();
  readonly #api: ReturnType<typeof connectApi>;

  constructor({ env }: Place) {
    this.#api = connectApi(join(runtimeDir({ ...process.env, ...env }), STACK, 'api.sock'));
    this.follows = withDeadline(
      { ms: MOST_MS, what: 'the events' },
      () => new Promise((resolve, reject) => void this.#follow(resolve).catch(reject)),
    );
  }

  until(name: string): Promise<void> {
    return withDeadline({ ms: MOST_MS, what: `${name} to be healthy` }, () => new Promise((resolve) => this.#waiting.set(name, resolve)));
  }

  close(): void {
    this.#over.abort();
    this.#api.close();
  }

  async #follow(begins: () => void): Promise<void> {
    for await (const message of this.#api.rpc.events({ logs: false, usage: false }, { signal: this.#over.signal })) {
      begins();
      const event = eventFrom(message);
      if (event?.type === 'replica' && event.action === 'health_status' && event.replica.health === 'healthy') {
        this.#waiting.get(event.replica.name)?.();
      }
    }
  }
}
