/**
 * Whether a service runs machines itself and gets /dev/kvm: `x-hypr: {nested: true}`, or docker's `devices: [/dev/kvm]`. `fault`: the setting
 * is neither true nor false. Pure.
 */
export const readNested = (settings: unknown, devices?: unknown): boolean | { readonly fault: string } => {
  const { nested: asked } = (settings ?? {}) as Readonly<Record<string, unknown>>;
  if (asked !== undefined && typeof asked !== 'boolean') {
    return { fault: 'must be true or false' };
  }
  return asked ?? (Array.isArray(devices) && devices.some(isKvm));
};

/** A device in its long form, of its short one after normalisation. Under another name in the machine no program would look for it. */
export const isKvm = (device: unknown): boolean => {
  const { source, target } = (device ?? {}) as Readonly<Record<string, unknown>>;
  return source === KVM && (target === undefined || target === KVM);
};

const KVM = '/dev/kvm';
