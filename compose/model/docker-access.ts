/** What a service that mounts docker's socket may do by it: read about its own stack, or everything that its user may. */
export type DockerAccess = 'read' | 'full';

/** Reads `x-hypr: {docker: read | full}` of a service; `fault`: it is neither. */
export const readDockerAccess = (settings: unknown): DockerAccess | { readonly fault: string } => {
  const { docker: asked = 'read' } = (settings ?? {}) as Readonly<Record<string, unknown>>;
  return asked === 'read' || asked === 'full' ? asked : { fault: 'must be read or full' };
};

/** Whether what a bind mount names is docker's socket, of whatever engine: none of them is at hand, and hypr answers in its place. */
export const isDockerSocket = (source: string): boolean => /(^|\/)docker(-\d+)?\.sock$/.test(source);
