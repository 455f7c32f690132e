import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { listenToSpans, traced } from '../../../base/trace/trace.ts';

const dir = mkdtempSync(join(tmpdir(), 'hypr-trace-'));
const program = join(dir, 'program.mjs');

beforeAll(async () => {
  const source = `import { traceProcess, traced, markTrace } from './base/trace/trace.ts';
    traceProcess('one "of" two');
    await traced('outer', 'web-1', async () => {
      await traced('inner', 'web-1', async () => {});
      await traced('failed', undefined, async () => { throw new Error('x'); }).catch(() => {});
      markTrace('point', 'web-1');
    });`;
  const root = new URL('../../..', import.meta.url).pathname;
  await build({ stdin: { contents: source, resolveDir: root }, outfile: program, bundle: true, platform: 'node', format: 'esm' });
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid?: number;
  readonly ts?: number;
  readonly dur?: number;
  readonly args?: { readonly name: string };
}

const run = (env: NodeJS.ProcessEnv) => execFileSync(process.execPath, [program], { cwd: dir, env: { ...process.env, ...env } });

it('writes nothing unless asked to', () => {
  run({ HYPR_TRACE: '' });
  expect(existsSync(join(dir, 't.json'))).toBe(false);
});

it('appends whole events of several processes to one array, lanes named, spans nested', () => {
  run({ HYPR_TRACE: 't.json' });
  run({ HYPR_TRACE: join(dir, 't.json') });
  const text = readFileSync(join(dir, 't.json'), 'utf8');
  const events = JSON.parse(`${text.trimEnd().replace(/,$/, '')}]`) as TraceEvent[];
  const processes = events.filter(({ name }) => name === 'process_name');
  expect(processes.map(({ args }) => args?.name)).toEqual(['one "of" two', 'one "of" two']);
  for (const { pid } of processes) {
    const mine = events.filter((event) => event.pid === pid);
    const lane = mine.find(({ name, args }) => name === 'thread_name' && args?.name === 'web-1')?.tid;
    const [outer, inner] = ['outer', 'inner'].map((name) => mine.find((event) => event.name === name));
    expect(outer).toMatchObject({ ph: 'X', tid: lane });
    expect(inner).toMatchObject({ ph: 'X', tid: lane });
    expect(inner?.ts).toBeGreaterThanOrEqual(outer?.ts ?? Number.POSITIVE_INFINITY);
    expect((inner?.ts ?? 0) + (inner?.dur ?? 0)).toBeLessThanOrEqual((outer?.ts ?? 0) + (outer?.dur ?? 0));
    expect(mine.filter(({ name }) => name === 'failed' || name === 'point').map(({ ph }) => ph)).toEqual(['X', 'i']);
  }
});

it('is no reason to fail when the file cannot be written', () => {
  expect(() => run({ HYPR_TRACE: join(dir, 'no', 'such', 'folder') })).not.toThrow();
});

it('tells the spans of one lane, traced or not, for as long as somebody wants to know', async () => {
  const heard: string[] = [];
  const before = Promise.withResolvers<void>();
  const begunBefore = traced('started before', 'web-1', () => before.promise);
  const end = listenToSpans('web-1', (name, ms) => heard.push(`${name} ${ms >= 0}`));
  before.resolve();
  await begunBefore;
  await traced('inner', 'web-1', async () => {});
  await traced('of another lane', 'db-1', async () => {});
  const late = Promise.withResolvers<void>();
  const begunLate = traced('ends after', 'web-1', () => late.promise);
  end();
  late.resolve();
  await begunLate;
  await traced('started after', 'web-1', async () => {});
  expect(heard).toEqual(['inner true']);
});
