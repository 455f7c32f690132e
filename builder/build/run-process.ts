import type { GuestClient, ProcessSpec } from '../../guest/types.ts';
import type { Vertex } from './progress.ts';
import { StepFault } from './step-error.ts';

const LAST_LINES = 10;
const MAX_LINE = 4096;
const SIGKILL = 9;

/** Runs a program of a step to its end, its output as the step's log. Throws StepFault with its last lines when it fails. */
export const runProcess = async (
  guest: GuestClient,
  spec: ProcessSpec,
  options: { vertex: Vertex; signal: AbortSignal },
): Promise<void> => {
  const { vertex, signal } = options;
  const running = await guest.spawn(spec, signal);
  const kill = () => void running.signal(SIGKILL).catch(() => undefined);
  signal.addEventListener('abort', kill, { once: true });
  const tail = new LastLines();
  const logs = { stdout: new LineLog('stdout', vertex), stderr: new LineLog('stderr', vertex) };
  try {
    for await (const { stream, data } of running.output) {
      signal.throwIfAborted();
      tail.add(logs[stream].add(data));
    }
    logs.stdout.flush();
    logs.stderr.flush();
    const exit = await running.exited;
    signal.throwIfAborted();
    if (exit.code !== 0) {
      const command = spec.args.join(' ');
      throw new StepFault(`process ${JSON.stringify(command)} did not complete successfully: exit code: ${exit.code}`, {
        details: tail.lines(),
        ...(exit.oomKilled ? { hint: 'the machine ran out of memory: the step needs more than a build machine has' } : {}),
      });
    }
  } finally {
    signal.removeEventListener('abort', kill);
  }
};

/** A stream as log events of whole lines: what a program writes in pieces is not shown in pieces. */
class LineLog {
  readonly #decoder = new TextDecoder();
  readonly #stream: 'stdout' | 'stderr';
  readonly #vertex: Pick<Vertex, 'log'>;
  #open = '';

  constructor(stream: 'stdout' | 'stderr', vertex: Pick<Vertex, 'log'>) {
    this.#stream = stream;
    this.#vertex = vertex;
  }

  /** Gives the text as it came. */
  add(data: Uint8Array): string {
    const text = this.#decoder.decode(data, { stream: true });
    const all = this.#open + text;
    const end = all.length > MAX_LINE ? all.length : Math.max(all.lastIndexOf('\n'), all.lastIndexOf('\r')) + 1;
    this.#open = all.slice(end);
    this.#log(all.slice(0, end));
    return text;
  }

  /** The rest, when the program has ended without a newline. */
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

/** The end of a program's output, line by line, however much there was. */
class LastLines {
  #lines: string[] = [];
  #open = '';

  add(text: string): void {
    const parts = (this.#open + text).split('\n');
    this.#open = (parts.pop() ?? '').slice(-MAX_LINE);
    this.#lines = [...this.#lines, ...parts.map((line) => line.replace(/\r$/, '').slice(0, MAX_LINE))].slice(-LAST_LINES);
  }

  lines(): string[] {
    return (this.#open === '' ? this.#lines : [...this.#lines, this.#open]).slice(-LAST_LINES);
  }
}
