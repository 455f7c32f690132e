/** How a bind mount is made: `shared` asks the host for everything; `synced` is a copy on the machine's own disk, kept equal with the folder. */
export type MountMode = 'shared' | 'synced';

/** `x-hypr: {mount: synced}` of a service, for all folders that it binds, or of a mount in its long form. `fault`: it is neither of the two. Pure. */
export const readMountMode = (settings: unknown): MountMode | undefined | { readonly fault: string } => {
  const { mount } = (settings ?? {}) as Readonly<Record<string, unknown>>;
  return mount === undefined || mount === 'shared' || mount === 'synced' ? mount : { fault: 'must be shared or synced' };
};
