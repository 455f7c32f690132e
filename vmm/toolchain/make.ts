import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { linkedController } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import { type HomePaths, shortHash } from '../../base/paths.ts';
import type { ProgressSink } from '../../base/progress.ts';
import { compileKestrel } from '../../guest/image/compile.ts';
import type { Toolchain } from '../model/tools.ts';
import { orDiskFull } from './disk-full.ts';
import { buildGuestImages } from './guest-images.ts';
import { makeGvproxy } from './gvproxy.ts';
import { findHostPrograms } from './host-programs.ts';
import { fetchKernel, findKernelPackage, KERNEL_PACKAGE, type Kernel, ownKernel, unpackKernel } from './kernel.ts';
import { FORMAT, hasDownloads, type Manifest } from './manifest.ts';
import { findNative, type Native } from './native.ts';
import { openPackages } from './package-source.ts';
import { makePrefix, PACKAGES, packagesFor } from './prefix.ts';
import type { Programs } from './programs.ts';
import { compileMachineJail, compilePreload, compileShareJail, compileSharePreload, compileTsc, findGuestSources } from './sources.ts';
import { track } from './steps.ts';

export interface MakeInput {
  readonly paths: HomePaths;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
  /** The previous manifest; its downloads are kept as long as the recipe is the same. */
  readonly known: Manifest | undefined;
  readonly gatewaySources: () => Promise<string>;
  /** A bundle to take packages from. */
  readonly from?: string | undefined;
}

/** Runs downloads and compilations concurrently; agent and initramfs wait for the downloads. */
export const makeParts = async (input: MakeInput): Promise<Manifest> => {
  const { paths, progress, gatewaySources } = input;
  const parent = paths.toolchain;
  const bin = join(parent, 'bin');
  await removeUnfinished(parent);
  const native = await findNative();
  return joinAll(input.signal, async (signal) => {
    const [{ programs, kernel, kestrel, images }, gvproxy, shareJail, machineJail, tsc, preload, sharePreload] = await Promise.all([
      makeGuest({ ...input, native, signal }),
      track(progress, { id: 'gvproxy', done: 'Ready' }, (report) =>
        makeGvproxy({ parent, sources: gatewaySources, native, report, signal }),
      ),
      native?.install('share', bin) ?? compileShareJail(bin, signal),
      native?.install('machine', bin) ?? compileMachineJail(bin, signal),
      native?.install('tsc', bin) ?? compileTsc(bin, signal),
      native?.install('zygote.so', bin) ?? compilePreload(bin, signal),
      native?.install('shares.so', bin) ?? compileSharePreload(bin, signal),
    ]);
    const id = shortHash([programs.id, kernel.release, images.initramfs, kestrel, gvproxy.version, preload].join(' '), 12);
    const { qemu, qemuData, virtiofsd, mkfsErofs, mkfsExt4, resize2fs, e2fsck } = programs;
    const parts = {
      qemu,
      qemuData,
      virtiofsd,
      mkfsErofs,
      mkfsExt4,
      resize2fs,
      e2fsck,
      gvproxy,
      shareJail,
      machineJail,
      tsc,
      preload,
      sharePreload,
      ...images,
    };
    const toolchain = { id, ...parts, kernel: kernel.vmlinux, kernelRelease: kernel.release };
    return { format: FORMAT, recipe: recipe(packagesFor(native)), programs, kernel, toolchain, ...(native ? { native: native.id } : {}) };
  });
};

/** Hash of the requested packages and settings: while it is the same, downloads are kept and no mirror is asked. */
export const recipe = (packages: readonly string[]): string => {
  const { HYPR_QEMU, HYPR_KERNEL, HYPR_KERNEL_MODULES } = process.env;
  return shortHash(JSON.stringify([packages, KERNEL_PACKAGE, HYPR_QEMU, HYPR_KERNEL, HYPR_KERNEL_MODULES]), 12);
};

interface Guest {
  readonly programs: Programs;
  readonly kernel: Kernel;
  readonly kestrel: string;
  readonly images: Pick<Toolchain, 'initramfs' | 'nestedInitramfs'>;
}

interface GuestInput extends MakeInput {
  readonly native: Native | undefined;
}

const makeGuest = async (input: GuestInput): Promise<Guest> => {
  const { paths, progress, native, signal } = input;
  const { programs, kernel } = await makeDownloads(input);
  const kestrel = await track(progress, { id: 'Guest agent', done: native === undefined ? 'Compiled' : 'Ready' }, async () => {
    if (native !== undefined) {
      return native.install('kestrel', join(paths.toolchain, 'bin'));
    }
    const musl = programs.musl === undefined ? {} : { musl: programs.musl };
    return compileKestrel(join(paths.toolchain, 'bin'), { sources: await findGuestSources(), signal, ...musl });
  });
  const images = await track(progress, { id: 'Initramfs', done: 'Ready' }, () =>
    buildGuestImages({ parent: paths.toolchain, kestrel, kernel, xz: programs.xz, signal }),
  );
  return { programs, kernel, kestrel, images };
};

const makeDownloads = async (input: GuestInput): Promise<{ programs: Programs; kernel: Kernel }> => {
  const { known, native } = input;
  // What a clone needs has more in it than what a package needs.
  const recipes = [packagesFor(native), PACKAGES].map(recipe);
  if (known !== undefined && recipes.includes(known.recipe) && (await hasDownloads(known))) {
    return known;
  }
  return process.env.HYPR_QEMU === undefined ? fromDebian(input) : fromHost(input);
};

const fromDebian = (input: GuestInput): Promise<{ programs: Programs; kernel: Kernel }> =>
  fetchFromDebian(input).catch(async (error: unknown) => {
    throw await orDiskFull(error, input.paths.toolchain);
  });

const fetchFromDebian = async (input: GuestInput): Promise<{ programs: Programs; kernel: Kernel }> => {
  const { paths, progress, native, from, signal } = input;
  const parent = paths.toolchain;
  await using packages = await track(progress, { id: 'Package index', done: 'Updated' }, () =>
    openPackages({ folder: join(paths.cache, 'apt'), from, signal }),
  );
  const programsReady = track(progress, { id: 'QEMU and disk tools', done: 'Ready' }, (report) =>
    makePrefix({ packages, names: packagesFor(native), parent, report, signal }),
  );
  const [programs, kernel] = await Promise.all([
    programsReady,
    track(progress, { id: 'Guest kernel', done: 'Ready' }, async (report) => {
      const wanted = await findKernelPackage(packages);
      const deb = await fetchKernel({ packages, parent, wanted, report });
      report({ text: 'Waiting for the disk tools' });
      const ready = await programsReady;
      report({ text: 'Extracting' });
      return unpackKernel({ deb, packages, parent, release: wanted.release, programs: ready, signal });
    }),
  ]);
  await packages.clean();
  return { programs, kernel };
};

const fromHost = async ({ paths, progress, signal }: MakeInput): Promise<{ programs: Programs; kernel: Kernel }> => {
  const programs = await track(progress, { id: 'QEMU and disk tools', done: 'Found' }, () => findHostPrograms(signal));
  const kernel = await ownKernel({ parent: paths.toolchain, zstd: programs.zstd, signal });
  if (kernel === undefined) {
    throw new HyprError('TOOLCHAIN_MISSING', 'with a QEMU of your own (HYPR_QEMU), hypr fetches no kernel for guests', {
      hint: 'set HYPR_KERNEL to a Linux 6.12 kernel (vmlinux or bzImage) and HYPR_KERNEL_MODULES to its lib/modules/<release> folder',
    });
  }
  return { programs, kernel };
};

/** The caller holds the lock, so unfinished parts are leftovers of a killed setup. */
const removeUnfinished = async (parent: string): Promise<void> => {
  const names = (await readdir(parent)).filter((name) => name.endsWith('.tmp'));
  await Promise.all(names.map((name) => rm(join(parent, name), { recursive: true, force: true })));
};

/** Runs `work` with a signal that aborts when a part of it fails, and waits until all parts have ended. */
const joinAll = async <T>(parent: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
  const stop = linkedController(parent);
  try {
    return await work(stop.signal);
  } catch (error) {
    stop.abort(new HyprError('HYPR_CANCELLED', 'another part of the set-up failed'));
    throw error;
  }
};
