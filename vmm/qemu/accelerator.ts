export type Accelerator = 'kvm' | 'tcg';

interface AcceleratorFlags {
  readonly accel: string;
  /** The same with all processors of a machine in one thread, for machines whose devices change while several processors run. */
  readonly oneThread: string;
  readonly cpu: string;
  /** Added to `cpu` for a machine that runs machines itself, and for every other one. */
  readonly nested: string;
  readonly plain: string;
  readonly kernel: (tscKhz: number) => readonly string[];
}

/**
 * Flags per accelerator, each with its measured reason. A guest that is not meant to run machines cannot: nested virtualisation is much
 * code of the host's kernel, or of QEMU, that is then out of its reach.
 */
export const ACCELERATORS: Record<Accelerator, AcceleratorFlags> = {
  kvm: { accel: 'kvm', oneThread: 'kvm', cpu: 'host', nested: '', plain: ',vmx=off,svm=off', kernel: () => [] },
  tcg: {
    // One thread per processor; a translation cache of 256 MiB, because the default grows to a gigabyte.
    accel: 'tcg,thread=multi,tb-size=256',
    // While one processor maps a device, QEMU 10.0 lets another reach a wrong one (iotlb_to_section): in 1 of some 100 boots with two
    // processors it aborted, and in 1 of 50 builds that plug caches in a processor became deaf to interrupts.
    oneThread: 'tcg,thread=single,tb-size=256',
    cpu: 'max',
    // QEMU emulates AMD's virtualisation, not Intel's.
    nested: ',svm=on,npt=on',
    plain: ',svm=off',
    // Told the rate of its clock, because calibrating it hangs now and then under load; an emulated processor does not speculate.
    kernel: (tscKhz) => [`tsc_early_khz=${tscKhz}`, 'tsc=reliable', 'mitigations=off'],
  },
};
