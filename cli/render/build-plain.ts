import { sanitiseLog, sanitiseName } from '../../base/sanitise.ts';
import type { BuildEvent } from '../../engine/model/types.ts';
import type { OutputStream } from '../core/context.ts';
import { humanSize } from '../format/units.ts';
import { BuildLog, isEnded, splitLines, type Vertex } from './build-log.ts';
import type { BuildRenderer } from './types.ts';

/** Milliseconds for which one step may print while others are waiting. */
const TURN = 1000;

/**
 * BuildKit's plain progress: `#5 [web 2/4] RUN …`, `#5 0.412 text`, `#5 DONE 3.1s`. Steps that run side by side take
 * turns, so that what one prints stays together.
 */
export const createPlainBuild = (stream: OutputStream): BuildRenderer => {
  const log = new BuildLog();
  const turns = new Turns(stream);
  return {
    onEvent: (service, event) => {
      const vertex = log.record(service, event);
      if (vertex === undefined) {
        stream.write(formatWarning(event));
      } else {
        turns.add(vertex, linesOf(vertex, event));
      }
    },
    flush: () => turns.flush(),
    close: () => turns.flush(),
  };
};

class Turns {
  readonly #stream: OutputStream;
  readonly #named = new Set<number>();
  #current: Vertex | undefined;
  /** Lines that wait for their step's turn, longest first. */
  readonly #waiting = new Map<Vertex, string[]>();
  #timer: NodeJS.Timeout | undefined;

  constructor(stream: OutputStream) {
    this.#stream = stream;
  }

  add(vertex: Vertex, lines: readonly string[]): void {
    this.#waiting.set(vertex, [...(this.#waiting.get(vertex) ?? []), ...lines]);
    const hasTurn = this.#current === undefined || this.#current === vertex;
    if (hasTurn) {
      this.#print(vertex);
    }
    if (this.#current !== undefined && isEnded(this.#current)) {
      this.flush();
    } else if (this.#waiting.size > 0) {
      this.#timer ??= setTimeout(() => this.flush(), TURN).unref();
    }
  }

  /** Gives each waiting step its turn; the last one keeps it. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const vertex of [...this.#waiting.keys()]) {
      this.#print(vertex);
    }
  }

  /** A change of step prints an empty line and, if the step was interrupted, its name again. */
  #print(vertex: Vertex): void {
    const lines = this.#waiting.get(vertex) ?? [];
    this.#waiting.delete(vertex);
    const isNew = !this.#named.has(vertex.number);
    const head = isNew ? [vertex.name] : this.#current === vertex ? [] : ['...'];
    const gap = this.#current === undefined || this.#current === vertex ? '' : '\n';
    this.#named.add(vertex.number);
    this.#current = vertex;
    this.#stream.write(gap + [...head, ...lines].map((line) => `#${vertex.number} ${line}\n`).join(''));
  }
}

const linesOf = (vertex: Vertex, event: BuildEvent): string[] => {
  if (event.type === 'log') {
    const time = (Math.max(0, event.time - vertex.startedAt) / 1000).toFixed(3);
    return splitLines(event.text).map((line) => `${time} ${sanitiseLog(line)}`);
  }
  if (event.type === 'status') {
    return [`${sanitiseName(event.text)}${amountOf(event)}`];
  }
  switch (vertex.state) {
    case 'started':
      return [];
    case 'cached':
      return ['CACHED'];
    case 'canceled':
      return ['CANCELED'];
    case 'error':
      return [`ERROR: ${vertex.error ?? 'failed'}`];
    case 'done':
      return [`DONE ${((vertex.duration ?? 0) / 1000).toFixed(1)}s`];
  }
};

/** BuildKit says of what is complete that it is done, and how much it was only where its name does not say that. */
const amountOf = ({ text, current = 0, total = 0 }: Extract<BuildEvent, { type: 'status' }>): string => {
  if (total === 0) {
    return '';
  }
  const isDone = current >= total ? ' done' : '';
  return /: \d+[kMG]?B$/.test(text) ? isDone : ` ${humanSize(current)} / ${humanSize(total)}${isDone}`;
};

export const formatWarning = (event: BuildEvent): string => {
  if (event.type !== 'warning') {
    return '';
  }
  const place = event.file === undefined ? '' : ` (${event.file}${event.line === undefined ? '' : `:${event.line}`})`;
  return `WARN: ${sanitiseName(event.message + place)}\n`;
};
