import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { neverAborts } from '../../../base/abort.ts';
import { openApt } from '../../../base/host/apt.ts';
import { exists } from '../../../base/host/files.ts';
import { withLock } from '../../../base/host/lock.ts';
import { mustRun } from '../../../base/host/process.ts';

/** Debian's docker client, unpacked below `cache` (a package of 8 to 36 MB, once); nothing is installed. Gives the path of the program. */
export const fetchDockerCli = async (cache: string): Promise<string> => {
  await mkdir(cache, { recursive: true });
  return withLock(join(cache, 'docker-cli.lock'), { what: "the tests' docker client" }, async () => {
    const root = join(cache, 'docker-cli');
    const program = join(root, 'usr/bin/docker');
    if (!(await exists(program))) {
      const apt = await openApt(join(cache, 'apt-docker'), undefined, neverAborts());
      // Later versions of Debian have the client in a package of its own.
      const deb = await apt.downloadAlone('docker-cli').catch(() => apt.downloadAlone('docker.io'));
      const staging = `${root}.${process.pid}.tmp`;
      await mustRun('dpkg-deb', ['-x', deb, staging], {});
      await rm(root, { recursive: true, force: true });
      await rename(staging, root);
      await apt.clean();
    }
    return program;
  });
};
