import { createHash } from 'node:crypto';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';

import { findDebianUri, parseUris } from '../../../base/host/apt.ts';
import { homePaths } from '../../../base/paths.ts';
import type { Progress } from '../../../base/progress.ts';
import { findHostPrograms, findTool } from '../../../vmm/toolchain/host-programs.ts';
import { findStale, needToolchain, openToolchain, toolCommand } from '../../../vmm/toolchain/index.ts';
import { zstdPayload } from '../../../vmm/toolchain/kernel.ts';
import { FORMAT, hasDownloads, isReady, type Manifest, writeManifest } from '../../../vmm/toolchain/manifest.ts';
import { findNative } from '../../../vmm/toolchain/native.ts';
import { packageVersion, prefixPrograms } from '../../../vmm/toolchain/prefix.ts';
import { track } from '../../../vmm/toolchain/steps.ts';
import { isAtLeast, parseVersion } from '../../../vmm/toolchain/versions.ts';
import { runs } from '../../support/seed.ts';
import { tempDir, tool, toolchain } from '../support.ts';

const signal = new AbortController().signal;

/** A manifest whose every file exists below a folder. */
const makeManifest = async (home: string): Promise<Manifest> => {
  const bin = join(home, 'bin');
  await mkdir(bin, { recursive: true });
  const file = (name: string) => join(bin, name);
  const names = [
    'ld',
    'qemu',
    'virtiofsd',
    'erofs',
    'ext4',
    'resize',
    'e2fsck',
    'zstd',
    'xz',
    'gvproxy',
    'share',
    'machine',
    'tsc',
    'vmlinux',
    'cpio',
    'nested-cpio',
  ];
  await Promise.all(names.map((name) => writeFile(file(name), '')));
  const inPrefix = (name: string) => tool(file('ld'), ['--library-path', '/nowhere', file(name)]);
  const programs = {
    id: 'p1',
    qemu: inPrefix('qemu'),
    qemuData: [],
    virtiofsd: inPrefix('virtiofsd'),
    mkfsErofs: inPrefix('erofs'),
    mkfsExt4: inPrefix('ext4'),
    resize2fs: inPrefix('resize'),
    e2fsck: inPrefix('e2fsck'),
    zstd: inPrefix('zstd'),
    xz: inPrefix('xz'),
  };
  const { id: _, zstd: _z, xz: _x, ...parts } = programs;
  const made = {
    gvproxy: tool(file('gvproxy')),
    shareJail: file('share'),
    machineJail: file('machine'),
    tsc: file('tsc'),
    kernel: file('vmlinux'),
    initramfs: file('cpio'),
    nestedInitramfs: file('nested-cpio'),
  };
  return {
    format: FORMAT,
    recipe: 'r',
    programs,
    kernel: { release: '6.12', vmlinux: file('vmlinux'), modules: bin },
    toolchain: toolchain({ ...parts, ...made }),
  };
};

describe('the manifest', () => {
  it('opens as the toolchain that was set up', async () => {
    const paths = homePaths(tempDir());
    expect(await openToolchain(paths)).toBeUndefined();
    const manifest = await makeManifest(paths.toolchain);
    await writeManifest(paths, manifest);
    expect(await openToolchain(paths)).toEqual(manifest.toolchain);
  });

  it.each(['initramfs', 'nestedInitramfs', 'shareJail', 'machineJail', 'kernel', 'tsc'] as const)(
    'does not open without its %s',
    async (part) => {
      const paths = homePaths(tempDir());
      const manifest = await makeManifest(paths.toolchain);
      await writeManifest(paths, manifest);
      await rm(manifest.toolchain[part] ?? '');
      expect(await openToolchain(paths)).toBeUndefined();
      await expect(needToolchain(paths)).rejects.toMatchObject({ code: 'TOOLCHAIN_MISSING', hint: 'run: hypr setup' });
    },
  );

  it('of an earlier hypr, which had no library for clones, is made again; it opens without one that cannot be made', async () => {
    const paths = homePaths(tempDir());
    const { toolchain: made, ...manifest } = await makeManifest(paths.toolchain);
    const { preload: _, ...earlier } = made;
    await mkdir(paths.toolchain, { recursive: true });
    await writeFile(join(paths.toolchain, 'manifest.json'), JSON.stringify({ ...manifest, toolchain: earlier }));
    expect(await openToolchain(paths)).toBeUndefined();
    await writeManifest(paths, { ...manifest, toolchain: { ...made, preload: null } });
    expect(await openToolchain(paths)).toMatchObject({ preload: null });
  });

  it.each(['{"format":1}', 'null', '{', '[]', '""'])('that is %s is made again', async (text) => {
    const paths = homePaths(tempDir());
    await mkdir(paths.toolchain);
    await writeFile(join(paths.toolchain, 'manifest.json'), text);
    expect(await openToolchain(paths)).toBeUndefined();
  });

  it('sees that a program behind the loader is gone', async () => {
    const manifest = await makeManifest(tempDir());
    expect([await hasDownloads(manifest), await isReady(manifest)]).toEqual([true, true]);
    const qemu = { ...manifest.programs.qemu, prefix: ['--library-path', '/nowhere', '/nowhere/qemu'] };
    expect(await hasDownloads({ ...manifest, programs: { ...manifest.programs, qemu } })).toBe(false);
  });

  it('tells parts of earlier toolchains from its own', async () => {
    const home = tempDir();
    const manifest = await makeManifest(join(home, 'prefix-new'));
    expect(findStale(['prefix-new', 'prefix-old', 'kernel-6.1', 'bin', 'manifest.json', 'initramfs-1.cpio'], manifest)).toEqual([
      'prefix-old',
      'kernel-6.1',
      'initramfs-1.cpio',
    ]);
  });
});

describe('programs', () => {
  it('of the prefix run through its own loader', () => {
    const { qemu, qemuData } = prefixPrograms({
      root: '/t/prefix-1',
      id: '1',
      packages: [{ file: 'qemu-system-x86_1%3a10.0.2+ds-2_amd64.deb' }],
    });
    expect(qemu.version).toBe('10.0.2');
    expect(toolCommand(qemu, ['--version'])).toEqual({
      file: '/t/prefix-1/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2',
      args: ['--library-path', '/t/prefix-1/usr/lib/x86_64-linux-gnu', '/t/prefix-1/usr/bin/qemu-system-x86_64', '--version'],
    });
    expect(qemuData).toEqual(['-L', '/t/prefix-1/usr/share/qemu', '-L', '/t/prefix-1/usr/share/seabios']);
  });

  it('have versions that can be compared', () => {
    expect(parseVersion('QEMU emulator version 10.0.13 (Debian)')).toEqual([10, 0, 13]);
    expect(parseVersion('mkfs.erofs 1.8')).toEqual([1, 8, 0]);
    expect(parseVersion('none')).toBeUndefined();
    expect([isAtLeast([0, 8, 9], [0, 8, 8]), isAtLeast([10, 0, 0], [8, 2]), isAtLeast([0, 8, 7], [0, 8, 8])]).toEqual([true, true, false]);
    expect(packageVersion([{ file: 'zstd_1.5.7+dfsg-1_amd64.deb' }], 'zst')).toBe('unknown');
  });

  const script = async (dir: string, name: string, says: string) => {
    await writeFile(join(dir, name), `#!/bin/sh\necho '${says}'\n`);
    await chmod(join(dir, name), 0o755);
    return join(dir, name);
  };

  it('of the host are taken when they are new enough, and named when not', async () => {
    const dir = tempDir();
    const file = await script(dir, 'x', 'x 1.4.2');
    expect(await findTool({ names: [file], versionArgs: ['-V'], minimum: [1, 4] }, signal)).toMatchObject({
      file,
      version: '1.4.2',
      origin: 'path',
    });
    expect(await findTool({ names: [file], versionArgs: ['-V'], minimum: [1, 8] }, signal)).toBe(
      `${file} is 1.4.2, 1.8 or newer is needed`,
    );
    expect(await findTool({ names: [join(dir, 'y')], versionArgs: [], minimum: [] }, signal)).toBe('not found');
  });

  it('that are missing on a host without apt are named together', async () => {
    vi.stubEnv('PATH', tempDir());
    const error = await findHostPrograms(signal).catch((thrown: unknown) => thrown);
    vi.unstubAllEnvs();
    expect(error).toMatchObject({ code: 'TOOLCHAIN_MISSING' });
    expect((error as { details: string[] }).details).toEqual(
      expect.arrayContaining(['qemu-system-x86_64: not found', 'mkfs.erofs: not found']),
    );
  });
});

describe('the kernel', () => {
  const bzImage = (payload: Buffer): Buffer => {
    const image = Buffer.alloc(0x400 + 0x20 + payload.length + 4 + 100);
    image.writeUInt8(1, 0x1f1);
    image.writeUInt32LE(0x20, 0x248);
    image.writeUInt32LE(payload.length + 4, 0x24c);
    payload.copy(image, 0x400 + 0x20);
    return image;
  };

  it('is found inside a bzImage', () => {
    const payload = Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), Buffer.from('compressed')]);
    expect(zstdPayload(bzImage(payload))).toEqual(payload);
  });

  it('is refused when it is compressed otherwise', () => {
    expect(() => zstdPayload(bzImage(Buffer.from('\x1f\x8bgzip-gzip')))).toThrow('not compressed with zstd');
  });

  it('is refused, not crashed on, whatever the file holds', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
        try {
          return zstdPayload(Buffer.from(bytes)).length > 0;
        } catch (error) {
          return (error as { code?: string }).code === 'TOOLCHAIN_FAILED';
        }
      }),
      runs(300),
    );
  });
});

describe('packages', () => {
  it('are read from what apt would download', () => {
    const text =
      "'http://mirror/pool/b_1_amd64.deb' b_1_amd64.deb 20 SHA256:bb\n'http://mirror/a.deb' a_2%3a1_all.deb 10 SHA256:aa\nnoise\n";
    expect(parseUris(text)).toEqual([
      { file: 'a_2%3a1_all.deb', hash: 'SHA256:aa', bytes: 10 },
      { file: 'b_1_amd64.deb', hash: 'SHA256:bb', bytes: 20 },
    ]);
  });

  it('come from the mirror of the host, in either format of its sources', () => {
    expect(findDebianUri('# deb http://old/debian x\ndeb [arch=amd64] https://m.example/debian/ bookworm main\n')).toBe(
      'https://m.example/debian',
    );
    expect(findDebianUri('Types: deb\nURIs: http://m.example/debian\nSuites: bookworm\n')).toBe('http://m.example/debian');
    expect(findDebianUri('deb https://packages.example/apt stable main\nURIs: http://m.example/debian-security\n')).toBeUndefined();
  });
});

describe('progress', () => {
  it('says bytes, and how a step ended', async () => {
    const heard: Progress[] = [];
    const step = { id: 'QEMU', done: 'Ready' };
    await track(
      (news) => heard.push(news),
      step,
      async (report) => report({ text: 'Downloading', percent: 50, bytes: 4000 }),
    );
    await expect(
      track(
        (news) => heard.push(news),
        step,
        () => Promise.reject(new Error('no space')),
      ),
    ).rejects.toThrow('no space');
    expect(heard.map(({ status, text, current, total }) => [status, text, current, total])).toEqual([
      ['working', 'Preparing', undefined, undefined],
      ['working', 'Downloading', 2000, 4000],
      ['done', 'Ready', undefined, undefined],
      ['working', 'Preparing', undefined, undefined],
      ['error', 'Error', undefined, undefined],
    ]);
  });
});

describe('the compiled parts of a package', () => {
  const makePackage = async (content: string): Promise<{ from: string; home: string }> => {
    const home = tempDir();
    const root = join(home, 'node_modules/@hypr/linux-x64');
    await mkdir(join(root, 'bin'), { recursive: true });
    await writeFile(join(root, 'package.json'), '{}');
    await writeFile(join(root, 'bin/zygote.so'), content);
    await writeFile(join(root, 'SHA256SUMS'), `${createHash('sha256').update('code').digest('hex')}  bin/zygote.so\n`);
    return { from: pathToFileURL(join(home, 'node_modules/hypr/dist/start.cjs')).href, home };
  };

  it('are copied under the names of their digests', async () => {
    const { from, home } = await makePackage('code');
    const native = await findNative(from);
    expect(await native?.install('zygote.so', join(home, 'bin'))).toBe(join(home, 'bin', `zygote-${native?.hashOf('zygote.so')}.so`));
    await expect(native?.install('kestrel', home)).rejects.toMatchObject({ code: 'TOOLCHAIN_FAILED' });
  });

  it('are refused when they are damaged, and not there in a clone', async () => {
    const { from, home } = await makePackage('other code');
    await expect((await findNative(from))?.install('zygote.so', home)).rejects.toMatchObject({ code: 'TOOLCHAIN_FAILED' });
    expect(await findNative()).toBeUndefined();
  });
});
