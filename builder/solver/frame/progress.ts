import { HyprError, isAbort, messageOf } from '../../../base/errors.ts';
import type { BuildEvent } from '../../model/types.ts';

/** One running step; `cached` marks it as taken from the cache when it ends. */
export interface Vertex {
  readonly id: number;
  log(stream: 'stdout' | 'stderr', text: string): void;
  status(text: string, current?: number, total?: number): void;
  cached(): void;
}

/** Turns steps into BuildKit's events: ids in order of first appearance, one ending each. */
export class BuildProgress {
  readonly #emit: (event: BuildEvent) => void;
  #lastId = 0;

  constructor(emit: (event: BuildEvent) => void) {
    this.#emit = emit;
  }

  async run<T>(name: string, work: (vertex: Vertex) => Promise<T>): Promise<T> {
    const id = ++this.#lastId;
    const start = Date.now();
    let state: 'done' | 'cached' = 'done';
    const end = (how: 'done' | 'cached' | 'error' | 'canceled', error?: string) => {
      const time = Date.now();
      this.#emit({ type: 'vertex', id, name, state: how, time, duration: time - start, ...(error === undefined ? {} : { error }) });
    };
    this.#emit({ type: 'vertex', id, name, state: 'started', time: start });
    try {
      const result = await work({
        id,
        log: (stream, text) => this.#emit({ type: 'log', id, stream, text, time: Date.now() }),
        status: (text, current, total) =>
          this.#emit({
            type: 'status',
            id,
            text,
            time: Date.now(),
            ...(current === undefined ? {} : { current }),
            ...(total === undefined ? {} : { total }),
          }),
        cached: () => {
          state = 'cached';
        },
      });
      end(state);
      return result;
    } catch (error) {
      const canceled = isAbort(error) || (error instanceof HyprError && error.code === 'HYPR_CANCELLED');
      end(canceled ? 'canceled' : 'error', canceled ? undefined : messageOf(error));
      throw error;
    }
  }

  warn(message: string, where?: { file: string; line: number }): void {
    this.#emit({ type: 'warning', message, ...(where === undefined ? {} : { file: where.file, line: where.line }) });
  }
}
