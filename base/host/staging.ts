import { randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isErrno } from '../errors.ts';
import { identifyProcess, isAlive, type ProcessIdentity } from './process.ts';

/**
 * A name for a staging file or folder, which is renamed to its final name when it is complete. It contains the pid of
 * the process that creates it, so that leftovers of a killed process can be told from work in progress.
 * `WHAT-PID-START-RANDOM`; WHAT is lower-case letters.
 */
export const stagingName = (what: string): string => {
  me ??= identifyProcess(process.pid) ?? { pid: process.pid, startTime: '0' };
  return `${what}-${me.pid}-${me.startTime}-${randomBytes(6).toString('hex')}`;
};

let me: ProcessIdentity | undefined;
const NAME = /^(?:.*\.)?[a-z]+-(\d+)-(\d+)-[0-9a-f]+$/;

/** The process in a staging name; undefined for any other name. */
export const stagingOwner = (name: string): ProcessIdentity | undefined => {
  const [, pid, startTime = ''] = NAME.exec(name) ?? [];
  return pid === undefined ? undefined : { pid: Number(pid), startTime };
};

/** A path without its staging name, for messages, because that name means nothing to users. */
export const withoutStagingPath = (path: string): string => path.replace(/\/tmp\/[a-z]+-\d+-\d+-[0-9a-f]{12}(\/.*)?$/, '');

/** Entries of a staging folder whose process is dead. A name without a process is from an older version of hypr. */
export const findStaleStaging = async (folder: string): Promise<Array<{ readonly path: string; readonly pid: number | undefined }>> => {
  const names = await readdir(folder).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      return [];
    }
    throw error;
  });
  return names.flatMap((name) => {
    const owner = stagingOwner(name);
    return owner !== undefined && isAlive(owner) ? [] : [{ path: join(folder, name), pid: owner?.pid }];
  });
};

/** Removes the entries of a staging folder whose process is dead. */
export const sweepStaging = async (folder: string): Promise<void> => {
  for (const { path } of await findStaleStaging(folder)) {
    await rm(path, { recursive: true, force: true });
  }
};

/**
 * A staging path next to the final file, for files outside HYPR_HOME, where nothing is swept:
 * `.NAME.part-PID-START-RANDOM`. First removes what killed processes left of the same file.
 */
export const stagingPathBeside = async (path: string): Promise<string> => {
  const folder = dirname(path);
  const prefix = `.${basename(path)}.`;
  for (const { path: left, pid } of await findStaleStaging(folder)) {
    const name = basename(left);
    if (pid !== undefined && name.startsWith(prefix) && /^part-[\d-]+[0-9a-f]{12}$/.test(name.slice(prefix.length))) {
      await rm(left, { recursive: true, force: true });
    }
  }
  return join(folder, prefix + stagingName('part'));
};
