import { spawnSync } from 'node:child_process';

const isRoot = process.getuid?.() === 0;

/**
 * What comes before a command line so that it has user 0 and may mount, unseen by the host: a mount namespace for root, and
 * a user namespace around it for anybody else, who is user 0 in there and owns the same files as before.
 */
export const asNamespaceRoot: readonly string[] = isRoot
  ? ['unshare', '--mount', '--']
  : ['unshare', '--user', '--map-root-user', '--mount', '--'];

/** What comes before a command line that joins the namespaces of a process that `asNamespaceRoot` started, and others of it (`-n`). */
export const joinNamespaces = (pid: number, others: readonly string[] = []): readonly string[] => [
  ...['nsenter', '-t', String(pid), '-m', ...others],
  ...(isRoot ? [] : ['-U', '--preserve-credentials']),
  '--',
];

/** Why there is none, for `needs`; false where there is. A container may forbid it, and so may a kernel's settings. */
export const noNamespace = (): string | false => {
  const [file = '', ...args] = [...asNamespaceRoot, 'mount', '-t', 'tmpfs', 'none', '/mnt'];
  const { status, stderr, error } = spawnSync(file, args, { encoding: 'utf8' });
  return status !== 0 && `no namespace to mount in: ${(error?.message ?? stderr).trim()}`;
};
