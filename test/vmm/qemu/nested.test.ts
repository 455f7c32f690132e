import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildQemuCommand } from '../../../vmm/qemu/command.ts';
import { findNestedFacts, nestedRefusal, refuseNested } from '../../../vmm/qemu/nested.ts';
import { spec, tempDir, toolchain } from '../support.ts';

const optionOf = (args: readonly string[], option: string) => args[args.indexOf(option) + 1];

describe('a machine that runs machines', () => {
  it.each([
    ['kvm', 'host', 'host,vmx=off,svm=off'],
    ['tcg', 'max,svm=on,npt=on', 'max,svm=off'],
  ] as const)('has a processor that virtualises under %s, and no other has', (accelerator, nested, plain) => {
    const args = (changes: object) => buildQemuCommand({ toolchain: toolchain(), accelerator, tscKhz: 1 }, spec(changes)).args;
    expect(optionOf(args({ nested: true }), '-cpu')).toBe(nested);
    expect(optionOf(args({}), '-cpu')).toBe(plain);
    expect(optionOf(args({ nested: true }), '-initrd')).toBe('/p/initramfs-nested.cpio');
    expect(optionOf(args({}), '-initrd')).toBe('/p/initramfs.cpio');
  });

  it.each([
    ['kvm_intel', 'Y', true],
    ['kvm_intel', 'N', false],
    ['kvm_amd', '1', true],
    ['kvm_amd', '0', false],
  ])('is there as %s says: nested=%s', async (name, value, allows) => {
    const sys = tempDir();
    await mkdir(join(sys, name, 'parameters'), { recursive: true });
    await writeFile(join(sys, name, 'parameters/nested'), `${value}\n`);
    const facts = await findNestedFacts({ accelerator: 'kvm', nestedInitramfs: '/i' }, sys);
    expect(facts).toEqual({ accelerator: 'kvm', hasModules: true, module: { name, allows } });
    expect(nestedRefusal(facts)?.reason).toBe(allows ? undefined : `${name} of this host lets no guest virtualise`);
  });

  it('needs nothing of the host under software emulation, and modules in its own kernel everywhere', async () => {
    expect(nestedRefusal(await findNestedFacts({ accelerator: 'tcg', nestedInitramfs: '/i' }, tempDir()))).toBeUndefined();
    expect(nestedRefusal(await findNestedFacts({ accelerator: 'kvm', nestedInitramfs: '/i' }, tempDir()))).toBeUndefined();
    const bare = await findNestedFacts({ accelerator: 'tcg', nestedInitramfs: null }, tempDir());
    expect(() => refuseNested('shop-vm-1', bare)).toThrow('shop-vm-1 cannot have /dev/kvm: the kernel of guests has no KVM');
  });
});
