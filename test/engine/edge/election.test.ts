import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { takePart } from '../../../engine/edge/election.ts';
import { askEdge, edgePaths } from '../../../engine/edge/info.ts';
import { edgePorts } from '../../../engine/edge/settings.ts';

let folder: string;
const over: AbortController[] = [];
const ended: Array<Promise<void>> = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hypr-election-'));
});
afterEach(async () => {
  for (const each of over.splice(0)) {
    each.abort();
  }
  await Promise.all(ended.splice(0));
  await rm(folder, { recursive: true, force: true });
});

/** A candidate that notes when it serves and when it has closed. */
const candidate = (name: string, seen: string[]) => {
  const controller = new AbortController();
  over.push(controller);
  let begin: () => void = () => {};
  const began = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const done = takePart({
    folder,
    signal: controller.signal,
    serve: async () => {
      seen.push(`${name} serves`);
      begin();
      return {
        info: async () => ({ pid: process.pid, domain: name, systemPorts: [], tls: false, problems: [] }),
        close: async () => {
          seen.push(`${name} closed`);
        },
      };
    },
  });
  ended.push(done);
  return { began, done, stop: () => controller.abort() };
};

const signal = new AbortController().signal;

describe('election of the edge', () => {
  it('has one holder, which tells what it serves, and the next takes over', async () => {
    const seen: string[] = [];
    const first = candidate('first', seen);
    await first.began;
    const second = candidate('second', seen);
    await expect.poll(async () => (await askEdge(signal, folder))?.domain).toBe('first');
    expect(seen).toEqual(['first serves']);
    first.stop();
    await second.began;
    expect(seen).toEqual(['first serves', 'first closed', 'second serves']);
    await first.done;
  });

  it('is taken over from a holder that was killed, by one of those who wait', async () => {
    const child = spawn(process.execPath, [new URL('./holder.ts', import.meta.url).pathname, folder, 'child'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    const seen: string[] = [];
    const waiting = [candidate('a', seen), candidate('b', seen), candidate('c', seen)];
    await expect.poll(async () => (await askEdge(signal, folder))?.domain).toBe('child');
    child.kill('SIGKILL');
    await Promise.race(waiting.map((each) => each.began));
    await expect.poll(async () => (await askEdge(signal, folder))?.pid).toBe(process.pid);
    expect(seen).toHaveLength(1);
  });

  it('ends while it waits', async () => {
    const seen: string[] = [];
    await candidate('first', seen).began;
    const second = candidate('second', seen);
    second.stop();
    await second.done;
    expect(seen).toEqual(['first serves']);
  });

  it('is nobody when nothing runs, and a socket that nobody serves does not matter', async () => {
    expect(await askEdge(signal, folder)).toBeUndefined();
    const stale = createServer().listen(edgePaths(folder).socket);
    await once(stale, 'listening');
    await new Promise((resolve) => stale.close(resolve));
    const seen: string[] = [];
    await candidate('first', seen).began;
    await expect.poll(async () => (await askEdge(signal, folder))?.domain).toBe('first');
  });
});

describe('edgePorts', () => {
  it('is 7080 or a following one, just the one that was set, or none', () => {
    expect(edgePorts({}).slice(0, 2)).toEqual([7080, 7081]);
    expect([edgePorts({ HYPR_EDGE_PORT: '9000' }), edgePorts({ HYPR_EDGE_PORT: '0' })]).toEqual([[9000], []]);
    for (const text of ['x', '-1', '65536', '7080 ']) {
      expect(() => edgePorts({ HYPR_EDGE_PORT: text })).toThrow(expect.objectContaining({ code: 'HYPR_USAGE' }));
    }
  });
});
