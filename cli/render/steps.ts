import { Listr, ListrLogger, ProcessOutput } from 'listr2';
import type { Progress, ProgressSink } from '../../base/progress.ts';
import { AsyncQueue } from '../../base/queue.ts';
import { sanitiseName } from '../../base/sanitise.ts';
import type { OutputStream } from '../core/context.ts';
import { humanSize } from '../format/units.ts';

export interface Steps {
  readonly onProgress: ProgressSink;
  /** Resolves when the last state is drawn. */
  end(): Promise<void>;
}

/**
 * A list of steps that is known in advance and visible from the start, drawn by listr2 on a terminal.
 * listr2 takes over the streams while it runs, so this is for commands without other output, and
 * never together with Ink. A step without reports had nothing to do.
 */
export const showSteps = (names: readonly string[], stream: OutputStream): Steps => {
  const steps = new Map(names.map((name) => [name, new Step()]));
  const list = new Listr<void>(
    names.map((title) => ({ title, task: (_, task) => (steps.get(title) ?? new Step()).show(title, task) })),
    {
      concurrent: true,
      exitOnError: false,
      // The command handles Ctrl-C itself, to end the steps cleanly.
      registerSignalListeners: false,
      // The caller has checked that it is a terminal.
      forceTTY: true,
      rendererOptions: {
        logger: new ListrLogger({ processOutput: new ProcessOutput(asWriteStream(stream), asWriteStream(stream)) }),
      },
    },
  );
  const shown = list.run();
  return {
    onProgress: (progress) => steps.get(progress.id)?.hear(progress),
    end: async () => {
      const isWhole = [...steps.values()].every((step) => step.isWhole);
      for (const step of steps.values()) {
        step.stop(isWhole);
      }
      await shown;
    },
  };
};

/** The part of listr2's task that a row uses. */
interface Task {
  set title(title: string);
  set output(line: string);
  skip(message?: string): void;
}

/** One row: collects reports until the step ends. */
class Step {
  readonly #reported = new AsyncQueue<Progress>();
  #last: Progress['status'] | undefined;
  #rest = '';

  /** It has ended well, or was not needed. */
  get isWhole(): boolean {
    return this.#last !== 'working' && this.#last !== 'error';
  }

  hear(progress: Progress): void {
    this.#last = progress.status;
    void this.#reported.push(progress);
  }

  /** @param isWhole - all steps have ended well: this one was not needed if nothing was heard of it */
  stop(isWhole: boolean): void {
    this.#rest = isWhole ? 'Already there' : 'Not done';
    this.#reported.end();
  }

  async show(title: string, task: Task): Promise<void> {
    for await (const progress of this.#reported) {
      if (progress.status === 'working') {
        task.output = workingText(progress);
      } else if (progress.status === 'error') {
        throw new Error(`${title}: ${sanitiseName(progress.details ?? progress.text)}`);
      } else {
        task.title = [title, progress.text, progress.details ?? ''].filter(Boolean).map(sanitiseName).join('  ');
        return;
      }
    }
    task.skip(`${title}  ${this.#rest}`);
  }
}

const workingText = ({ text, current, total }: Progress): string => {
  const amount = current === undefined || total === undefined ? '' : `  ${humanSize(current)} of ${humanSize(total)}`;
  return `${sanitiseName(text)}${amount}`;
};

/** The stream for listr2, which only writes and reads the width. */
const asWriteStream = (stream: OutputStream): NodeJS.WriteStream => stream as NodeJS.WriteStream;
