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
  try {
    const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
    for await (const { stream, data } of running.output) {
      signal.throwIfAborted();
      const text = decoders[stream].decode(data, { stream: true });
      tail.add(text);
      vertex.log(stream, text);
    }
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
