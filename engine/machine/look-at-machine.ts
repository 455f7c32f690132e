import { readdir, readFile } from 'node:fs/promises';
import { sleep } from '../../base/deadline.ts';
import { messageOf } from '../../base/errors.ts';
import type { GuestClient } from '../../guest/types.ts';
import { lastLines } from '../../vmm/devices/console.ts';
import type { Machine } from '../../vmm/model/machine.ts';

const ANSWER_MS = 3_000;
const WATCHED_MS = 500;
/** Clock ticks of /proc are hundredths of a second on every Linux that Debian builds. */
const TICK_MS = 10;

/** What can be seen of a machine that does not answer as it should, or has ended. For a log. */
export interface MachineLook {
  /** `runs`, or how it ended. */
  readonly machine: string;
  /** `answers`, or why it does not. */
  readonly agent: string;
  /** Of each of QEMU's threads: its state, and the milliseconds that it ran in half a second. A virtual processor that hangs runs all the time. */
  readonly threads: readonly string[];
  /** The last lines of the console, where the agent tells of a start that is stuck. */
  readonly console: readonly string[];
}

/** Never rejects. */
export const lookAtMachine = async ({ machine, guest }: { machine: Machine; guest: GuestClient }): Promise<MachineLook> => {
  const { process, spec } = machine.record;
  const [state, agent, threads, console] = await Promise.all([
    Promise.race([machine.exited.then(({ detail, reason }) => detail ?? reason), sleep(ANSWER_MS).then(() => 'runs')]),
    guest.stats(AbortSignal.timeout(ANSWER_MS)).then(() => 'answers', messageOf),
    watchThreads(process.pid).catch((error: unknown) => [messageOf(error)]),
    lastLines(spec.consoleLog, 20).catch((error: unknown) => [messageOf(error)]),
  ]);
  return { machine: state, agent, threads, console };
};

const watchThreads = async (pid: number): Promise<string[]> => {
  const before = await readThreads(pid);
  await sleep(WATCHED_MS);
  const after = await readThreads(pid);
  return [...after].map(([id, { name, state, ticks }]) => {
    const ran = (ticks - (before.get(id)?.ticks ?? ticks)) * TICK_MS;
    return `${name}: ${state}, ran ${ran} ms`;
  });
};

interface Thread {
  readonly name: string;
  readonly state: string;
  readonly ticks: number;
}

const readThreads = async (pid: number): Promise<Map<string, Thread>> => {
  const ids = await readdir(`/proc/${pid}/task`);
  const threads = await Promise.all(
    ids.map(async (id): Promise<readonly [string, Thread] | undefined> => {
      // One that has ended since has nothing to say.
      const text = await readFile(`/proc/${pid}/task/${id}/stat`, 'utf8').catch(() => undefined);
      const thread = text === undefined ? undefined : parseThread(text);
      return thread && [id, thread];
    }),
  );
  return new Map(threads.filter((each) => each !== undefined));
};

/** Pure: a line of proc_pid_stat(5): id, name in parentheses (which it may contain), state, and as 14th and 15th field its ticks. */
export const parseThread = (line: string): Thread | undefined => {
  const end = line.lastIndexOf(')');
  const fields = line.slice(end + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  return end < 0 || Number.isNaN(ticks) ? undefined : { name: line.slice(line.indexOf('(') + 1, end), state: fields[0] ?? '', ticks };
};
