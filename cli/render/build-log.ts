import { ErrorTail } from '../../base/error-tail.ts';
import { sanitiseLog, sanitiseName } from '../../base/sanitise.ts';
import type { BuildEvent } from '../../engine/model/types.ts';

export type VertexState = Extract<BuildEvent, { type: 'vertex' }>['state'];

export interface Vertex {
  /** The number after `#`, unique over all builds of the command. */
  readonly number: number;
  /** Its number within its build, by which events name it. */
  readonly id: number;
  name: string;
  state: VertexState;
  readonly startedAt: number;
  /** Milliseconds, when it ended. */
  duration: number | undefined;
  error: string | undefined;
  status: string | undefined;
  /** Last lines of its output, oldest first. */
  readonly tail: string[];
}

const TAIL = 100;

/** As docker compose: `[2/4] RUN …` of web is `[web 2/4] RUN …`, `exporting to image` is `[web] exporting to image`. */
export const withService = (service: string, name: string): string => {
  if (service === '') {
    return name;
  }
  return name.startsWith('[') ? `[${service} ${name.slice(1)}` : `[${service}] ${name}`;
};

/** The vertices of one command's builds: numbered over all services, with the last lines of each. */
export class BuildLog {
  readonly #vertices = new Map<string, Vertex>();

  get vertices(): readonly Vertex[] {
    return [...this.#vertices.values()];
  }

  clear(): void {
    this.#vertices.clear();
  }

  /** The steps that began at `since` or later (milliseconds since the epoch) as events, for a log that begins now; without their output. */
  steps(since: number): BuildEvent[] {
    const meant = this.vertices.filter(({ startedAt }) => startedAt >= since);
    return meant.map(({ id, name, state, startedAt, duration, error }) => ({
      ...{ type: 'vertex', id, name, state, time: startedAt },
      ...(duration === undefined ? {} : { duration }),
      ...(error === undefined ? {} : { error }),
    }));
  }

  /** The output of the steps that failed, which does not fit into a display. `service` is added to their names. */
  failures(service = ''): string[] {
    return this.vertices
      .filter(({ state, tail }) => state === 'error' && tail.length > 0)
      .map(({ name, tail }) =>
        ['------', ` > ${withService(service, name)}:`, ...failedTail(tail).map((line) => sanitiseLog(line)), '------', ''].join('\n'),
      );
  }

  /** The vertex an event is about; a new one gets the next number. */
  vertex(service: string, id: number, time: number): Vertex {
    const key = `${service}/${id}`;
    const known = this.#vertices.get(key);
    if (known) {
      return known;
    }
    const vertex: Vertex = {
      number: this.#vertices.size + 1,
      id,
      name: `step ${id}`,
      state: 'started',
      startedAt: time,
      duration: undefined,
      error: undefined,
      status: undefined,
      tail: [],
    };
    this.#vertices.set(key, vertex);
    return vertex;
  }

  /** Records an event; gives its vertex, or undefined for warnings. */
  record(service: string, event: BuildEvent): Vertex | undefined {
    if (event.type === 'warning') {
      return undefined;
    }
    const vertex = this.vertex(service, event.id, event.time);
    if (event.type === 'vertex') {
      vertex.name = sanitiseName(withService(service, event.name));
      vertex.state = event.state;
      vertex.duration = event.state === 'started' ? undefined : (event.duration ?? event.time - vertex.startedAt);
      vertex.error = event.error === undefined ? undefined : sanitiseName(event.error);
    } else if (event.type === 'status') {
      vertex.status = sanitiseName(event.text);
    } else {
      vertex.tail.push(...splitLines(event.text));
      vertex.tail.splice(0, Math.max(0, vertex.tail.length - TAIL));
    }
    return vertex;
  }
}

const FAILED_TAIL = 30;

const failedTail = (lines: readonly string[]): string[] => {
  const tail = new ErrorTail(FAILED_TAIL);
  for (const line of lines) {
    tail.add(line);
  }
  return tail.lines;
};

export const splitLines = (text: string): string[] => text.replace(/\r?\n$/, '').split(/\r?\n/);

export const isEnded = (vertex: Vertex): boolean => vertex.state !== 'started';
