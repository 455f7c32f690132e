import { chmod, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import { chooseVmm } from '../../../vmm/host/probe.ts';
import { tempDir, toolchain } from '../support.ts';

afterEach(() => void vi.unstubAllEnvs());

/** A toolchain whose clock counts at a known rate, and a note of how often it was asked. */
const makeToolchain = async (dir: string) => {
  const tsc = join(dir, 'tsc');
  await writeFile(tsc, `#!/bin/sh\necho x >> ${dir}/asked\necho 2400000\n`);
  await chmod(tsc, 0o755);
  return toolchain({ tsc });
};

describe('the choice of an accelerator', () => {
  it('can be forced, and is remembered', async () => {
    vi.stubEnv('HYPR_ACCEL', 'tcg');
    const dir = tempDir();
    const options = { toolchain: await makeToolchain(dir), paths: homePaths(join(dir, 'home')) };
    const first = await chooseVmm(options);
    expect(first.verdict).toMatchObject({ accelerator: 'tcg', reason: 'HYPR_ACCEL=tcg', tscKhz: 2_400_000 });
    expect(first.vmm.name).toBe('qemu-tcg');
    expect(first.vmm.capabilities.accelerated).toBe(false);
    await writeFile(options.toolchain.tsc, '#!/bin/sh\nexit 1\n');
    expect((await chooseVmm(options)).verdict).toEqual(first.verdict);
    await expect(chooseVmm({ ...options, refresh: true })).rejects.toMatchObject({ code: 'TOOLCHAIN_FAILED' });
  });

  it('is made anew for another toolchain, and when what was kept is damaged', async () => {
    vi.stubEnv('HYPR_ACCEL', 'kvm');
    const dir = tempDir();
    const paths = homePaths(join(dir, 'home'));
    const mine = await makeToolchain(dir);
    await chooseVmm({ toolchain: mine, paths });
    await chooseVmm({ toolchain: { ...mine, id: 'other' }, paths });
    const files = await readdir(paths.cache);
    expect(files).toHaveLength(2);
    for (const text of ['', 'null', '{"accelerator":"xen","tscKhz":1,"found":1}', '[]']) {
      await Promise.all(files.map((file) => writeFile(join(paths.cache, file), text)));
      expect((await chooseVmm({ toolchain: mine, paths })).verdict.accelerator).toBe('kvm');
    }
  });

  it('refuses a word it does not know', async () => {
    vi.stubEnv('HYPR_ACCEL', 'xen');
    const dir = tempDir();
    await expect(chooseVmm({ toolchain: await makeToolchain(dir), paths: homePaths(dir) })).rejects.toMatchObject({ code: 'HYPR_USAGE' });
  });

  it('does not believe a clock that stands still', async () => {
    vi.stubEnv('HYPR_ACCEL', 'tcg');
    const dir = tempDir();
    const mine = await makeToolchain(dir);
    await writeFile(mine.tsc, '#!/bin/sh\necho 0\n');
    await expect(chooseVmm({ toolchain: mine, paths: homePaths(dir) })).rejects.toMatchObject({ code: 'TOOLCHAIN_FAILED' });
  });
});
