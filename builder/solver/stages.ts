import type { LinkedController } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import type { StageState } from './frame/state.ts';

/** Builds each stage once, however often it is asked for; the first failure cancels the others. */
export class Stages {
  readonly #runs = new Map<number, Promise<StageState>>();
  readonly #done = new Set<number>();
  readonly #controller: LinkedController;
  firstFailure: unknown;

  constructor(controller: LinkedController) {
    this.#controller = controller;
  }

  run(index: number, work: () => Promise<StageState>): Promise<StageState> {
    const known = this.#runs.get(index);
    if (known !== undefined) {
      return known;
    }
    const run = work();
    this.#runs.set(index, run);
    const note = () => {
      this.#done.add(index);
    };
    run.then(note, (error: unknown) => {
      if (this.firstFailure === undefined && !this.#controller.signal.aborted) {
        this.firstFailure = error;
        this.#controller.abort(new HyprError('HYPR_CANCELLED', 'another step of the build failed', { cause: error }));
      }
    });
    return run;
  }

  isDone(index: number): boolean {
    return this.#done.has(index);
  }

  async settle(): Promise<void> {
    await Promise.allSettled(this.#runs.values());
  }
}
