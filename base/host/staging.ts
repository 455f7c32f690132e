import { randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isErrno } from '../errors.ts';
import { identifyProcess, isAlive, type ProcessIdentity } from './process.ts';

/**
 * What is made aside, before it is renamed to where it belongs, says in its name whose it is: so that what a killed
 * process left can be told from work under way. `WHAT-PID-START-RANDOM`; WHAT is of small letters.
 */
export const asideName = (what: string): string => {
  me ??= identifyProcess(process.pid) ?? { pid: process.pid, startTime: '0' };
  return `${what}-${me.pid}-${me.startTime}-${randomBytes(6).toString('hex')}`;
};

let me: ProcessIdentity | undefined;
const NAME = /^(?:.*\.)?[a-z]+-(\d+)-(\d+)-[0-9a-f]+$/;

/** Whose name it is; undefined when it is no aside's. */
export const ownerOfAside = (name: string): ProcessIdentity | undefined => {
  const [, pid, startTime = ''] = NAME.exec(name) ?? [];
  return pid === undefined ? undefined : { pid: Number(pid), startTime };
};

/** Where an aside lies, for messages: its own name says nothing to anybody. */
export const withoutAside = (path: string): string => path.replace(/\/tmp\/[a-z]+-\d+-\d+-[0-9a-f]{12}(\/.*)?$/, '');

/** What in a folder of asides has no living maker; what has not even a maker's name is from an older hypr. */
export const findDeadAsides = async (folder: string): Promise<Array<{ readonly path: string; readonly pid: number | undefined }>> => {
  const names = await readdir(folder).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      return [];
    }
    throw error;
  });
  return names.flatMap((name) => {
    const owner = ownerOfAside(name);
    return owner !== undefined && isAlive(owner) ? [] : [{ path: join(folder, name), pid: owner?.pid }];
  });
};

/** Removes from a folder of asides what dead processes left. */
export const sweepAsides = async (folder: string): Promise<void> => {
  for (const { path } of await findDeadAsides(folder)) {
    await rm(path, { recursive: true, force: true });
  }
};

/**
 * The path of an aside in the folder of the file it becomes, for files outside HYPR_HOME, whose folder nobody sweeps:
 * `.NAME.part-PID-START-RANDOM`. What killed processes left of the same file goes first.
 */
export const makeAsideBeside = async (path: string): Promise<string> => {
  const folder = dirname(path);
  const prefix = `.${basename(path)}.`;
  for (const { path: left, pid } of await findDeadAsides(folder)) {
    const name = basename(left);
    if (pid !== undefined && name.startsWith(prefix) && /^part-[\d-]+[0-9a-f]{12}$/.test(name.slice(prefix.length))) {
      await rm(left, { recursive: true, force: true });
    }
  }
  return join(folder, prefix + asideName('part'));
};
