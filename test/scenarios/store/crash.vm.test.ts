import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BuildEvent } from '../../../builder/model/types.ts';
import { CrashHome, KILLS, killMoments } from '../../support/crash-home.ts';
import { CrashRegistry } from '../../support/crash-registry.ts';
import { noNamespace } from '../../support/mount-namespace.ts';
import { needs } from '../../support/needs.ts';
import { SmallDisk } from '../../support/small-disk.ts';

// No machine is started here: pulls, and builds without RUN. Kills in a RUN are in build.vm.test.ts.

const TIMEOUT = 60_000 + KILLS * 15_000;
const LEFT = /: left by pid \d+, removed at the next run$/;

/** The store is whole; what is said beside that is of the process that was killed. */
const expectClean = async (home: CrashHome, when: string): Promise<void> => {
  const check = await home.run(['system', 'check']);
  expect(check, when).toMatchObject({ code: 0, stdout: '' });
  const lines = check.stderr.trim().split('\n');
  expect(lines.at(-1), when).toBe('Images and records are whole');
  expect(
    lines.slice(0, -1).filter((line) => !LEFT.test(line)),
    when,
  ).toEqual([]);
  expect(lines.slice(0, -1), when).toHaveLength((await home.transient()).length);
};

const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
};

describe.concurrent('kill -9 at any moment', () => {
  test(`of a pull, ${KILLS} times: the store is whole, the next pull takes what was finished`, { timeout: TIMEOUT }, async () => {
    const registry = await new CrashRegistry({ layers: 4, mib: 8 }).start();
    const home = await CrashHome.make('crash-pull');
    const pull = ['pull', '--quiet', registry.image];
    try {
      const duration = await timed(() => home.must(pull));
      for (const ms of killMoments(duration)) {
        const when = `killed after ${Math.round(ms)} of ${Math.round(duration)} ms`;
        await home.empty();
        await home.killAt(pull, ms);
        await expectClean(home, when);
        const finished = new Set((await home.list('images/layers')).map((name) => `sha256:${name}`));
        registry.takeLayerCounts();
        await home.must(pull);
        const expected = [...registry.blobOf.keys()].map((diffId) => [diffId, finished.has(diffId) ? 0 : 1]);
        expect([...registry.takeLayerCounts()], when).toEqual(expected);
        expect(await home.transient(), when).toEqual([]);
      }
      await expectClean(home, 'at the end');
    } finally {
      await home.remove();
      await registry.close();
    }
  });

  test(`of a build, ${KILLS} times: the store is whole, the next build takes every step that was finished`, {
    timeout: TIMEOUT,
  }, async () => {
    const home = await CrashHome.make('crash-build');
    const context = await makeContext(600);
    const build = ['build', '-q', '-t', 'crash', context];
    try {
      const duration = await timed(() => home.must(build));
      for (const ms of killMoments(duration)) {
        const when = `killed after ${Math.round(ms)} of ${Math.round(duration)} ms`;
        await home.empty();
        await home.killAt(build, ms);
        await expectClean(home, when);
        const finished = await recordedSteps(home);
        const { stderr } = await home.must(['build', '--progress', 'json', '-t', 'crash', context]);
        expect(doneSteps(stderr, 'cached'), when).toHaveLength(finished.size);
        expect(doneSteps(stderr, 'done'), when).toHaveLength(STEPS - finished.size);
        expect(await home.transient(), when).toEqual([]);
      }
      await expectClean(home, 'at the end');
    } finally {
      await home.remove();
      await rm(context, { recursive: true, force: true });
    }
  });
});

const DOCKERFILE = `FROM scratch AS files
WORKDIR /app
COPY small /app/small
COPY large /app/large
ADD archive.tar.gz /app/unpacked/
FROM scratch AS other
COPY small/1* /x/
FROM scratch
COPY --from=files /app /app
COPY --from=other / /other
WORKDIR /app/end
COPY Dockerfile .
`;
const STEPS = 9;

/** Some thousand small files, a large one and an archive. */
const makeContext = async (files: number): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'hypr-crash-context-'));
  await mkdir(join(folder, 'small'));
  for (let index = 0; index < files; index++) {
    await writeFile(join(folder, 'small', String(index)), `${index}\n`.repeat(100));
  }
  await writeFile(join(folder, 'large'), randomBytes(8_000_000));
  await writeFile(join(folder, 'Dockerfile'), DOCKERFILE);
  await promisify(execFile)('tar', ['-C', folder, '-czf', join(folder, 'archive.tar.gz'), 'small']);
  return folder;
};

/** Keys of the steps that have a record, under however many names. */
const recordedSteps = async (home: CrashHome): Promise<Set<string>> => {
  const folder = join(home.dir, 'build', 'records');
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile());
  const texts = await Promise.all(files.map((entry) => readFile(join(entry.parentPath, entry.name), 'utf8')));
  return new Set(texts.map((text) => (JSON.parse(text) as { key: string }).key));
};

const doneSteps = (text: string, state: 'cached' | 'done'): string[] =>
  text
    .split('\n')
    .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as BuildEvent] : []))
    .flatMap((event) => (event.type === 'vertex' && event.state === state && /\] (COPY|ADD|WORKDIR)/.test(event.name) ? [event.name] : []));

describe('two at once', () => {
  let home: CrashHome;
  beforeAll(async () => {
    home = await CrashHome.make('crash-both');
  });
  afterAll(() => home.remove());

  test('pulls fetch every layer once, and a prune meanwhile takes nothing from them', async () => {
    const registry = await new CrashRegistry({ layers: 4, mib: 4, gate: 2 }).start();
    try {
      const pull = () => home.run(['pull', '--quiet', registry.image]);
      const results = await Promise.all([pull(), pull(), ...[1, 2, 3].map(() => home.run(['system', 'prune', '-a', '-f']))]);
      expect(results.slice(0, 2)).toMatchObject([{ code: 0 }, { code: 0 }]);
      for (const prune of results.slice(2)) {
        expect(prune.code === 0 || /IMAGE_IN_USE/.test(prune.stderr), prune.stderr).toBe(true);
      }
      expect(new Set(registry.takeLayerCounts().values())).toEqual(new Set([1]));
      await expectClean(home, 'after both');
    } finally {
      await registry.close();
    }
  });

  test('builds carry every step out once, and a prune meanwhile takes nothing from them', async () => {
    const registry = await new CrashRegistry({ layers: 0, mib: 0, gate: 2 }).start();
    const context = await makeContext(300);
    await writeFile(join(context, 'Dockerfile'), DOCKERFILE.replace('WORKDIR', `ADD http://${registry.host}/gate /gate\nWORKDIR`));
    try {
      const build = () => home.run(['build', '--progress', 'json', '-t', 'both', context]);
      const results = await Promise.all([build(), build(), home.run(['system', 'prune', '-a', '-f'])]);
      expect(results.slice(0, 2), results.map(({ stderr }) => stderr).join('\n')).toMatchObject([{ code: 0 }, { code: 0 }]);
      const done = results.slice(0, 2).flatMap(({ stderr }) => doneSteps(stderr, 'done'));
      expect(done).toHaveLength(STEPS + 1);
      expect(await home.transient()).toEqual([]);
      await expectClean(home, 'after both');
    } finally {
      await registry.close();
      await rm(context, { recursive: true, force: true });
    }
  });
});

needs(noNamespace()).describe('a full disk', () => {
  let disk: SmallDisk;
  let registry: CrashRegistry;
  let context: string;
  beforeAll(async () => {
    registry = await new CrashRegistry({ layers: 3, mib: 8 }).start();
    context = await makeContext(50);
    disk = await SmallDisk.open(160);
    // Makes the folders and the database.
    await disk.run(['images']);
    await disk.run(['ls']);
  });
  afterAll(async () => {
    await disk.close();
    await registry.close();
    await rm(context, { recursive: true, force: true });
  });

  /** With `mib` left it ends with HYPR_DISK_FULL, saying what it needs, and leaves nothing; with space it works. */
  const failsThenWorks = async (args: readonly string[], mib: number): Promise<void> => {
    const before = await disk.files();
    await disk.fill(mib);
    const { code, stderr } = await disk.run(args);
    expect(stderr).toMatch(/HYPR_DISK_FULL/);
    expect(stderr).toMatch(/ (needs|are unpacked to) .*\d MB; .*\d MB are free/);
    expect(code).not.toBe(0);
    await disk.free();
    expect(await disk.files()).toEqual(before);
    expect(await disk.run(args)).toMatchObject({ code: 0 });
    expect(await disk.run(['system', 'check'])).toMatchObject({ code: 0, stderr: 'Images and records are whole\n' });
  };

  test('of a pull, a build, outputs and save: says what was needed, leaves nothing, and works when there is space', async () => {
    await failsThenWorks(['pull', '--quiet', registry.image], 12);
    await failsThenWorks(['save', '-o', join(disk.dir, 'saved.tar'), registry.image], 6);
    await failsThenWorks(['build', '-q', '-t', 'full', context], 6);
    for (const output of ['type=local', 'type=tar', 'type=oci', 'type=docker,tar=false']) {
      const dest = join(disk.dir, output.replace(/\W/g, '-'));
      await failsThenWorks(['build', '-q', '--output', `${output},dest=${dest}`, context], 3);
      await disk.remove(dest);
    }
    expect(existsSync(join(disk.dir, 'saved.tar'))).toBe(false);
  });

  test('images can be removed when not a byte is left', async () => {
    await disk.fill(0);
    expect(await disk.run(['rmi', 'full'])).toMatchObject({ code: 0 });
    expect(await disk.run(['rmi', registry.image])).toMatchObject({ code: 0 });
    expect(await disk.run(['system', 'prune', '-a', '-f'])).toMatchObject({ code: 0 });
    await disk.free();
  });
});
