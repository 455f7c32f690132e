import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import type { Project } from '../../../compose/model/model.ts';
import { buildProject, openImages, pullProject } from '../../../engine/index.ts';
import { FORMAT, type Manifest, writeManifest } from '../../../vmm/toolchain/manifest.ts';
import { mkfsErofs, noMkfs } from '../../builder/store/find-mkfs.ts';
import { removeAtExit } from '../../support/left-over.ts';
import { needs } from '../../support/needs.ts';

/** A toolchain of which only mkfs.erofs is real: every other program says that it was started, and fails. */
const layTrap = async (home: string): Promise<string> => {
  const log = join(home, 'started');
  const trap = join(home, 'trap');
  writeFileSync(trap, `#!/bin/sh\necho "$@" >>${log}\nexit 3\n`);
  chmodSync(trap, 0o755);
  const tool = { file: trap, prefix: [], version: '10.0.0', origin: 'toolchain' as const };
  const tools = { qemu: tool, virtiofsd: tool, mkfsErofs, mkfsExt4: tool, resize2fs: tool, e2fsck: tool, gvproxy: tool };
  const files = {
    kernel: trap,
    initramfs: trap,
    nestedInitramfs: trap,
    shareJail: trap,
    machineJail: trap,
    tsc: trap,
    preload: trap,
    sharePreload: trap,
    vmlinux: trap,
    modules: trap,
  };
  const all = { id: 'trap', qemuData: [], ...tools, ...files };
  mkdirSync(homePaths(home).toolchain, { recursive: true });
  await writeManifest(homePaths(home), {
    format: FORMAT,
    recipe: '',
    programs: all,
    kernel: all,
    toolchain: all,
  } as unknown as Manifest);
  return log;
};

needs(noMkfs).describe('builds without a RUN', () => {
  let home: string;
  let context: string;
  let log: string;
  beforeEach(async () => {
    home = removeAtExit(mkdtempSync(join(tmpdir(), 'hypr-novmm-')));
    context = join(home, 'context');
    mkdirSync(context);
    writeFileSync(join(context, 'file'), 'text');
    vi.stubEnv('HYPR_HOME', home);
    vi.stubEnv('HYPR_RUNTIME_DIR', join(home, 'run'));
    log = await layTrap(home);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(home, { recursive: true, force: true });
  });

  const project = (dockerfile: string) =>
    ({
      name: 'p',
      workingDir: context,
      services: { app: { build: { context, dockerfile_inline: dockerfile }, image: 'app:1' } },
      environment: {},
      secrets: {},
    }) as unknown as Project;
  const options = { services: ['app'], withDependencies: false, noCache: false, pull: false, buildArgs: {} };
  const build = (dockerfile: string) => buildProject(project(dockerfile), options, () => {});
  /** Programs that were started, and whether anything was found out about accelerators. */
  const started = () => (existsSync(log) ? readFileSync(log, 'utf8') : '');
  const probed = () => existsSync(homePaths(home).cache) && readdirSync(homePaths(home).cache).length > 0;

  it('start no program of a VMM and look for none: with cold and warm caches, and when images are pulled', async () => {
    const file = 'FROM scratch AS one\nCOPY file /\nWORKDIR /w\nFROM one\nADD file /w/\nENV A=b\nUSER 7\nCMD ["x"]\n';
    const { app } = await build(file);
    const image = await (await openImages()).inspect('app:1');
    expect(image.manifestDigest).toBe(app?.manifestDigest);
    expect((await build(file)).app).toEqual(app);
    await pullProject(
      project(file),
      { services: ['app'], policy: 'missing', includeDeps: false, ignoreBuildable: true, ignoreFailures: false },
      () => {},
    );
    expect([started(), probed()]).toEqual(['', false]);
  });

  it('of a service that reads the image of another: that one is built before, though only this one was asked for', async () => {
    const base = { build: { context, dockerfile_inline: 'FROM scratch\nCOPY file /base-file\nENV A=base\n' } };
    const web = {
      build: {
        context,
        additional_contexts: { X: 'service:base' },
        dockerfile_inline:
          'FROM x AS one\nCOPY file /web-file\nFROM scratch\nCOPY --from=one /web-file /\nCOPY --from=x /base-file /copied\n',
      },
    };
    const both = { ...project(''), services: { web }, disabledServices: { base } } as unknown as Project;
    const order: string[] = [];
    const note = (service: string) => order.at(-1) === service || order.push(service);
    // The image of a target is never looked for in a registry, whatever is pulled.
    const made = await buildProject(both, { ...options, services: ['web'], pull: true }, note);
    expect(order).toEqual(['base', 'web']);
    expect(Object.keys(made)).toEqual(['base', 'web']);
    const images = await openImages();
    expect((await images.inspect('p-web')).layers).toHaveLength(2);
    writeFileSync(join(context, 'file'), 'other');
    const again = await buildProject(both, { ...options, services: ['web'] }, () => {});
    expect(again.web?.imageId).not.toBe(made.web?.imageId);
    expect([started(), probed()]).toEqual(['', false]);
  });

  it('with a RUN they look for it: the trap works', async () => {
    await expect(build('FROM scratch\nCOPY file /\nRUN x\n')).rejects.toThrow();
    expect(started()).not.toBe('');
  });
});
