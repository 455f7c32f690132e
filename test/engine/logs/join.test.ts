import { mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EventBus } from '../../../engine/logs/bus.ts';
import { followLogs } from '../../../engine/logs/follow-logs.ts';
import type { LogWriter } from '../../../engine/logs/log-writer.ts';
import { type LogStore, openLogStore } from '../../../engine/logs/logs.ts';
import { newRun } from '../../../engine/logs/new-run.ts';
import type { LogRecord } from '../../../engine/model/events.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-join-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const OPTIONS = { services: [], follow: true, tail: undefined, since: undefined, until: undefined, index: undefined };
const STREAMS = ['stdout', 'stderr'] as const;
type Stream = (typeof STREAMS)[number];

/** What a guest keeps of a run: all it printed, and what of that its host says it has. */
class Run {
  readonly number = newRun();
  readonly text = { stdout: '', stderr: '' };
  readonly sent = { stdout: 0, stderr: 0 };
  readonly kept = { stdout: 0, stderr: 0 };
}

interface Follower {
  readonly lines: string[];
  readonly ended: Promise<void>;
  readonly abort: AbortController;
}

/** One replica with its guest, and supervisors one after the other. */
class World {
  readonly #store: LogStore = openLogStore(dir);
  readonly #path = join(dir, 'a-1.jsonl');
  readonly runs: Run[] = [];
  followers: Follower[] = [];
  #bus = new EventBus();
  #writer!: LogWriter;
  /** Of the file: what cannot be lost any more, for the guest was told of it. */
  #safe = 0;

  get #run(): Run {
    return this.runs.at(-1) ?? this.#begin();
  }

  #begin(): Run {
    const run = new Run();
    this.runs.push(run);
    return run;
  }

  async start(): Promise<void> {
    this.#writer = await this.#store.writer('a-1', 'a');
    await this.#writer.begin(this.#run.number, { resumed: false });
  }

  print(stream: Stream, text: string): void {
    this.#run.text[stream] += text;
  }

  /** At most `size` bytes that the guest has not sent yet. */
  deliver(stream: Stream, size: number): void {
    const run = this.#run;
    const offset = run.sent[stream];
    const data = Buffer.from(run.text[stream].slice(offset, offset + size));
    if (data.length > 0) {
      run.sent[stream] += data.length;
      this.#tell(this.#writer.write({ stream, data, time: 1, offset }));
    }
  }

  async acknowledge(): Promise<void> {
    const kept = { stdout: this.#writer.written('stdout'), stderr: this.#writer.written('stderr') };
    await this.#writer.settled();
    Object.assign(this.#run.kept, kept);
    this.#safe = statSync(this.#path).size;
  }

  follow(): void {
    const [bus, writer, abort] = [this.#bus, this.#writer, new AbortController()];
    const lines: string[] = [];
    const input = {
      logs: this.#store,
      bus,
      sources: () => [{ replica: 'a-1', service: 'a', number: 1 }],
      settle: () => writer.settled(),
      goesOn: () => true,
      options: OPTIONS,
    };
    const ended = (async () => {
      for await (const record of followLogs(input, abort.signal)) {
        lines.push(keyOf(record));
      }
    })();
    this.followers.push({ lines, ended, abort });
  }

  /** The supervisor dies with a part of what it was writing, and another one takes over. */
  async kill(torn: number): Promise<void> {
    await this.#writer.settled();
    await this.endFollowers();
    const { size } = statSync(this.#path);
    // What closing adds is cut off, too.
    await this.#writer.close();
    truncateSync(this.#path, Math.max(this.#safe, size - torn));
    this.#bus = new EventBus();
    this.#writer = await this.#store.writer('a-1', 'a');
    await this.#writer.begin(this.#run.number, { resumed: true });
    Object.assign(this.#run.sent, this.#run.kept);
  }

  /** The run ends with all that it printed told, and another one begins. */
  async restart(): Promise<void> {
    await this.finish();
    this.#begin();
    await this.#writer.begin(this.#run.number, { resumed: false });
  }

  async finish(): Promise<void> {
    for (const stream of STREAMS) {
      this.deliver(stream, 1 << 20);
    }
    this.#tell(this.#writer.flush());
    await this.#writer.settled();
    this.#safe = statSync(this.#path).size;
  }

  async endFollowers(): Promise<Follower[]> {
    const followers = this.followers;
    this.followers = [];
    for (const { abort, ended } of followers) {
      // What is on the bus by now is still given.
      abort.abort();
      await ended;
    }
    return followers;
  }

  close(): Promise<void> {
    return this.#writer.close();
  }

  async onDisk(): Promise<string[]> {
    const lines: string[] = [];
    for await (const record of this.#store.read('a-1', 'a', {})) {
      lines.push(keyOf(record));
    }
    return lines;
  }

  /** The lines of each stream of each run, in order. */
  expected(): string[][] {
    return this.runs.flatMap(({ number, text }) =>
      STREAMS.map((stream) => {
        const lines = text[stream].split('\n');
        return (lines.at(-1) === '' ? lines.slice(0, -1) : lines).map((line) => `${number} ${stream} ${line}`);
      }),
    );
  }

  #tell(records: readonly LogRecord[]): void {
    for (const record of records) {
      this.#bus.emit({ type: 'log', record });
    }
  }
}

const keyOf = ({ run, stream, line }: LogRecord): string => `${run} ${stream} ${line}`;

const byStream = (lines: readonly string[], world: World): string[][] =>
  world.runs.flatMap(({ number }) => STREAMS.map((stream) => lines.filter((line) => line.startsWith(`${number} ${stream} `))));

const stream = fc.constantFrom(...STREAMS);
/** Few letters, so that lines are often the same. */
const text = fc.array(fc.constantFrom('a', 'b', '\n', 'a\n', '\n\n'), { minLength: 1, maxLength: 6 }).map((parts) => parts.join(''));
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('print' as const), stream, text }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('deliver' as const), stream, size: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('acknowledge' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('follow' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('kill' as const), torn: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 120 })) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
);
/** A line that is in the file though its guest was never told. */
const PINNED: Step[] = [
  { do: 'print', stream: 'stdout', text: 'a\n' },
  { do: 'deliver', stream: 'stdout', size: 2 },
  { do: 'kill', torn: 0 },
];
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

const carryOut = async (world: World, each: Step): Promise<void> => {
  switch (each.do) {
    case 'print':
      return world.print(each.stream, each.text);
    case 'deliver':
      return world.deliver(each.stream, each.size);
    case 'acknowledge':
      return world.acknowledge();
    case 'follow':
      return world.follow();
    case 'wait':
      return new Promise((resolve) => setTimeout(resolve, 1));
    case 'kill':
      return world.kill(each.torn);
    case 'restart':
      return world.restart();
  }
};

describe('following logs › gives each line once', () => {
  test('whenever it begins, whatever the chunks, over restarts and killed supervisors', async () => {
    const property = fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      rmSync(dir, { recursive: true, force: true });
      const world = new World();
      await world.start();
      for (const each of steps) {
        await carryOut(world, each);
      }
      world.follow();
      await world.finish();
      await new Promise((resolve) => setTimeout(resolve, 1));
      expect(byStream(await world.onDisk(), world)).toEqual(world.expected());
      for (const { lines } of await world.endFollowers()) {
        expect(byStream(lines, world)).toEqual(world.expected());
      }
      await world.close();
    });
    await fc.assert(property, { numRuns: 150, examples: [[PINNED]] });
  });

  test('when the bus cannot hold what comes', async () => {
    const world = new World();
    await world.start();
    world.print('stdout', 'first\n');
    world.deliver('stdout', 100);
    world.follow();
    const [follower] = world.followers;
    while (follower?.lines.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    // All in one turn: nobody takes anything meanwhile.
    world.print('stdout', 'x\n'.repeat(50_000));
    world.deliver('stdout', 200_000);
    await world.finish();
    while ((follower?.lines.length ?? 0) < 50_001) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    world.print('stdout', 'last\n');
    await world.finish();
    await world.endFollowers();
    expect(follower?.lines.length).toBe(50_002);
    expect(follower?.lines.at(-1)).toMatch(/ last$/);
    await world.close();
  });
});
