import { readdir, readlink } from 'node:fs/promises';

/**
 * The processes that have something open that `isIt`, by what /proc/PID/fd calls it (`socket:[7]`, the path of a file). Those that end
 * meanwhile count as absent, and so do those of other users, which cannot be looked into.
 */
export async function* processesWith(isIt: (link: string) => boolean): AsyncGenerator<number> {
  for (const name of await listOr('/proc')) {
    if (/^\d+$/.test(name) && (await hasOpen(name, isIt))) {
      yield Number(name);
    }
  }
}

const hasOpen = async (process: string, isIt: (link: string) => boolean): Promise<boolean> => {
  for (const fd of await listOr(`/proc/${process}/fd`)) {
    if (isIt(await readlinkOr(`/proc/${process}/fd/${fd}`))) {
      return true;
    }
  }
  return false;
};

const listOr = (path: string): Promise<string[]> => readdir(path).catch(() => []);
const readlinkOr = (path: string): Promise<string> => readlink(path).catch(() => '');
