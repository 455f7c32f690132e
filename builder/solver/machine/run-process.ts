import { constants } from 'node:os';
import { onAbort } from '../../../base/abort.ts';
import { ErrorTail } from '../../../base/error-tail.ts';
import { LineSplitter } from '../../../base/lines.ts';
import type { ProcessExit, ProcessSpec } from '../../../guest/types.ts';
import type { BuildMachine } from '../../model/types.ts';
import type { Vertex } from '../frame/progress.ts';
import { StepFault } from '../layer/step-error.ts';

const LAST_LINES = 10;
const MAX_LINE = 4096;
const { SIGKILL } = constants.signals;
/** Longest delay of a timer. */
const MAX_TIMER = 2 ** 31 - 1;
/** With less free space than this a program counts as out of disk space. */
const FULL_BYTES = 1024 * 1024;

/**
 * Runs a program of a step to its end; its output is the step's log. When it fails, throws StepFault with its last lines and
 * the limit that it reached, if any.
 */
export const runProcess = async (
  machine: Pick<BuildMachine, 'guest' | 'limits'>,
  spec: ProcessSpec,
  options: { vertex: Vertex; signal: AbortSignal; timeout?: number | undefined },
): Promise<void> => {
  const { vertex, signal, timeout } = options;
  const running = await machine.guest.spawn(spec, signal);
  const kill = () => void running.signal(SIGKILL).catch(() => undefined);
  const leave = onAbort(signal, kill);
  const clock = new StepClock(timeout, kill);
  const tail = new LastLines();
  const logs = { stdout: new LineLog('stdout', vertex), stderr: new LineLog('stderr', vertex) };
  try {
    for await (const { stream, data } of running.output) {
      signal.throwIfAborted();
      logs[stream].add(data);
      tail.add(data);
    }
    logs.stdout.flush();
    logs.stderr.flush();
    const exit = await running.exited;
    signal.throwIfAborted();
    if (exit.code !== 0) {
      const command = JSON.stringify(spec.args.join(' '));
      const met = clock.expired ? timeLimit(timeout) : await metLimit(machine, exit);
      throw new StepFault(
        `process ${command} did not complete successfully: exit code: ${exit.code}${met === undefined ? '' : `: ${met.text}`}`,
        {
          details: tail.lines(),
          hint: met?.hint ?? 'for a shell where it failed: hypr build --debug',
        },
      );
    }
  } finally {
    clock.stop();
    leave();
  }
};

/** Kills a step at its time limit. */
class StepClock {
  expired = false;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(timeout: number | undefined, kill: () => void) {
    const expire = () => {
      this.expired = true;
      kill();
    };
    this.#timer = timeout === undefined ? undefined : setTimeout(expire, Math.min(timeout, MAX_TIMER));
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

interface Met {
  readonly text: string;
  readonly hint: string;
}

const timeLimit = (timeout = 0): Met => ({
  text: `it took longer than the ${timeout / 1000} s that a step may take`,
  hint: 'give steps more time: hypr build --timeout 1h',
});

/** What the machine ran out of, if anything: programs seldom report it. */
const metLimit = async ({ guest, limits }: Pick<BuildMachine, 'guest' | 'limits'>, exit: ProcessExit): Promise<Met | undefined> => {
  if (exit.oomKilled) {
    return {
      text: `the build machine ran out of memory (${limits.memoryMib} MiB)`,
      hint: `give it more: hypr build --memory ${Math.ceil((limits.memoryMib * 2) / 1024)}g (or HYPR_BUILD_MEMORY)`,
    };
  }
  const { diskFree, diskTotal } = await guest.stats().catch(() => ({ diskFree: undefined, diskTotal: undefined }));
  const isFull = diskFree !== undefined && diskTotal !== undefined && diskFree < Math.max(FULL_BYTES, diskTotal / 200);
  return isFull
    ? {
        text: `the disk of the build machine is full (${limits.diskMib} MiB)`,
        hint: `give it a larger one: hypr build --disk ${Math.ceil((limits.diskMib * 2) / 1024)}g (or HYPR_BUILD_DISK)`,
      }
    : undefined;
};

/** Turns a stream into log events of whole lines, however the program writes them. */
class LineLog {
  readonly #decoder = new TextDecoder();
  readonly #stream: 'stdout' | 'stderr';
  readonly #vertex: Pick<Vertex, 'log'>;
  #open = '';

  constructor(stream: 'stdout' | 'stderr', vertex: Pick<Vertex, 'log'>) {
    this.#stream = stream;
    this.#vertex = vertex;
  }

  add(data: Uint8Array): void {
    const all = this.#open + this.#decoder.decode(data, { stream: true });
    const end = all.length > MAX_LINE ? all.length : Math.max(all.lastIndexOf('\n'), all.lastIndexOf('\r')) + 1;
    this.#open = all.slice(end);
    this.#log(all.slice(0, end));
  }

  /** Emits the last line if it has no newline. */
  flush(): void {
    this.#log(this.#open);
    this.#open = '';
  }

  #log(text: string): void {
    if (text !== '') {
      this.#vertex.log(this.#stream, text);
    }
  }
}

/** Keeps what a program's output ends with, and where it first told of an error, in bounded memory. */
class LastLines {
  readonly #splitter = new LineSplitter({ most: MAX_LINE, longer: 'end' });
  readonly #tail = new ErrorTail(LAST_LINES);

  add(data: Uint8Array): void {
    this.#keep(this.#splitter.push(data));
  }

  /** To be called when no more comes. */
  lines(): string[] {
    this.#keep(this.#splitter.flush());
    return this.#tail.lines;
  }

  #keep(lines: readonly Buffer[]): void {
    for (const line of lines) {
      this.#tail.add(line.toString('utf8').replace(/\r$/, ''));
    }
  }
}
