import { mustRun } from '../../base/host/process.ts';

/**
 * A command that runs as user 0: of the machine where the tests are its user's, else of a user namespace in which only
 * the tests' own user is, as 0. Throws, with the reason, where there are no user namespaces for plain users.
 */
export const asUserZero = async (file: string, args: readonly string[] = []): Promise<{ file: string; args: string[] }> => {
  if (process.getuid?.() === 0) {
    return { file, args: [...args] };
  }
  const namespace = ['--user', '--map-root-user', '--'];
  await mustRun('unshare', [...namespace, 'true']).catch((error: unknown) => {
    const what = 'this test needs user 0 or a user namespace, which this host does not give to plain users';
    throw new Error(`${what} (user.max_user_namespaces, kernel.unprivileged_userns_clone, AppArmor)`, { cause: error });
  });
  return { file: 'unshare', args: [...namespace, file, ...args] };
};
