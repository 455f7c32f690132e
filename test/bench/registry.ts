import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { homePaths } from '../../base/paths.ts';
import { openImages } from '../../builder/images.ts';
import { startFixtureRegistry } from '../../fixtures/registry/registry.ts';
import { needToolchain } from '../../vmm/toolchain/index.ts';

export interface RegistryFigures {
  /** Megabytes (10^6) of the layer, compressed. */
  readonly megabytes: number;
  /** Seconds from the first request to the last answer. */
  readonly push: readonly number[];
  /** Of a push when the registry has everything. */
  readonly pushAgain: readonly number[];
  /** Seconds from the first request until the root disk can be attached. */
  readonly pull: readonly number[];
  /** Most memory of this process, MiB. */
  readonly memory: number;
}

const RUNS = 3;

/** One layer of about 100 MB compressed (libraries of the toolchain), pushed to and pulled from a registry on loopback. */
export const measureRegistry = async (): Promise<RegistryFigures> => {
  const folder = await mkdtemp(join(tmpdir(), 'hypr-bench-'));
  const stop = new AbortController();
  const registries: Array<{ close(): Promise<void> }> = [];
  const toolchain = await needToolchain();
  const open = (name: string) =>
    openImages({ paths: homePaths(join(folder, name)), toolchain, env: { HOME: folder, PATH: process.env.PATH } });
  try {
    const source = await open('source');
    const image = await addLayer(source, homePaths().toolchain);
    const [push, pushAgain, pull] = [[] as number[], [] as number[], [] as number[]];
    let megabytes = 0;
    for (let run = 0; run < RUNS; run++) {
      const registry = await startFixtureRegistry({ images: [], dir: join(folder, `registry${run}`), signal: stop.signal });
      registries.push(registry);
      const name = `${registry.host}/bench:1`;
      await source.tag(image, name);
      push.push(await seconds(() => source.push([name], {}, () => {})));
      pushAgain.push(await seconds(() => source.push([name], {}, () => {})));
      const target = await open(`target${run}`);
      pull.push(
        await seconds(async () => {
          await target.pull([name], { policy: 'always' }, ({ total }) => {
            megabytes = (total ?? 0) > 1e6 ? (total ?? 0) / 1e6 : megabytes;
          });
          await target.store.rootDisk(image);
        }),
      );
      await rm(join(folder, `target${run}`), { recursive: true });
    }
    return { megabytes, push, pushAgain, pull, memory: process.resourceUsage().maxRSS / 1024 };
  } finally {
    stop.abort();
    await Promise.all(registries.map((registry) => registry.close()));
    await rm(folder, { recursive: true, force: true });
  }
};

const addLayer = async (images: Awaited<ReturnType<typeof openImages>>, toolchain: string): Promise<string> => {
  const prefix = (await readdir(toolchain)).find((name) => name.startsWith('prefix-'));
  const child = spawn(
    'tar',
    ['-C', join(toolchain, prefix ?? ''), '--sort=name', '--exclude=usr/share', '--exclude=usr/libexec', '-c', 'usr'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const { diffId } = await images.store.addLayer(child.stdout);
  const config = { os: 'linux', architecture: 'amd64', config: {}, rootfs: { type: 'layers', diff_ids: [diffId] } };
  return (await images.store.addImage({ config, references: [] })).id;
};

const seconds = async (work: () => Promise<unknown>): Promise<number> => {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1000;
};
