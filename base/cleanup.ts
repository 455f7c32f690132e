/**
 * A stack of cleanup steps, run last-in first-out. Every step runs even if an earlier one throws; all errors are thrown
 * together. `disarm` drops the steps, when ownership of what was built passes on.
 */
export class Cleanup implements AsyncDisposable {
  #steps: Array<() => unknown> = [];

  defer(step: () => unknown): void {
    this.#steps.push(step);
  }

  disarm(): void {
    this.#steps = [];
  }

  async run(): Promise<void> {
    const errors: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) {
      throw errors.length === 1 ? errors[0] : new AggregateError(errors, 'several clean-up steps failed');
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.run();
  }
}
