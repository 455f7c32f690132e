import { accessSync, constants, lstatSync, readFileSync, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { HyprError, isErrno } from '../errors.ts';
import { homePaths } from '../paths.ts';

/** The current user; tests pass another. */
export interface HomeUser {
  readonly uid: number;
}

const me = (): HomeUser => ({ uid: process.getuid?.() ?? 0 });

/**
 * Refuses a HYPR_HOME that belongs to another user, or that this user has no permission for. Root may use any: in a
 * container the home is often a mounted folder of a user outside. If it does not exist yet, its parent folder is checked.
 * Throws HYPR_PERMISSION, which names the owner.
 */
export const refuseForeignHome = (home: string, user: HomeUser = me()): void => {
  const info = statOrRefuse(home);
  if (info === undefined) {
    const above = nearest(home);
    if (!statSync(above).isDirectory()) {
      throw new HyprError('HYPR_PERMISSION', `${home} cannot be created: ${above} is a file`, {
        hint: 'point HYPR_HOME at a folder of your own',
      });
    }
    refuseUnusable(above, `${home} cannot be created`);
    return;
  }
  if (!info.isDirectory()) {
    throw new HyprError('HYPR_PERMISSION', `${home} is a file, but hypr needs a folder there`, {
      hint: 'remove it, or point HYPR_HOME at a folder of your own',
    });
  }
  const isForeign = user.uid !== 0 && info.uid !== user.uid;
  // A folder of root that everybody may write to (a container's volume) counts as nobody's.
  if (isForeign && info.uid !== 0) {
    throw foreign(home, info.uid);
  }
  refuseUnusable(home, `${home} cannot be used`);
  refuseForeignDatabase(home, user);
};

/** `sudo hypr` with the user's HOME leaves files of root in the user's home. */
const refuseForeignDatabase = (home: string, user: HomeUser): void => {
  const { database } = homePaths(home);
  for (const path of [database, `${database}-wal`, `${database}-shm`]) {
    const info = lstatSync(path, { throwIfNoEntry: false });
    if (info !== undefined && user.uid !== 0 && info.uid !== user.uid && !mayUse(path, constants.R_OK | constants.W_OK)) {
      throw new HyprError('HYPR_PERMISSION', `${path} belongs to ${nameOfUser(info.uid)}, and you are ${nameOfUser(user.uid)}`, {
        hint: `give it back: sudo chown -R ${nameOfUser(user.uid)} ${home}`,
      });
    }
  }
};

const statOrRefuse = (home: string): Stats | undefined => {
  try {
    return statSync(home, { throwIfNoEntry: false });
  } catch (error) {
    if (isErrno(error, 'EACCES', 'EPERM')) {
      refuseUnusable(nearest(home), `${home} cannot be reached`);
    }
    if (!isErrno(error, 'ENOTDIR')) {
      throw error;
    }
    return undefined;
  }
};

const refuseUnusable = (path: string, what: string): void => {
  if (!mayUse(path, constants.R_OK | constants.W_OK | constants.X_OK)) {
    const { uid } = statSync(path);
    const isMine = uid === me().uid;
    const subject = what.startsWith(`${path} `) ? 'it' : path;
    throw new HyprError('HYPR_PERMISSION', `${what}: ${subject} ${isMine ? 'is not writable' : `belongs to ${nameOfUser(uid)}`}`, {
      hint: isMine ? `allow it: chmod u+rwx ${path}; or point HYPR_HOME elsewhere` : 'point HYPR_HOME at a folder of your own',
    });
  }
};

/** The nearest parent folder that stat works on. */
const nearest = (path: string): string => {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    try {
      if (statSync(folder, { throwIfNoEntry: false }) !== undefined) {
        return folder;
      }
    } catch (error) {
      if (!isErrno(error, 'EACCES', 'EPERM', 'ENOTDIR')) {
        throw error;
      }
    }
    if (folder === dirname(folder)) {
      return folder;
    }
  }
};

const mayUse = (path: string, mode: number): boolean => {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
};

const foreign = (home: string, owner: number): HyprError =>
  new HyprError('HYPR_PERMISSION', `${home} is the hypr home of ${nameOfUser(owner)}, and you are ${nameOfUser(me().uid)}`, {
    hint: 'its owner could change the programs that run from it: point HYPR_HOME at a folder of your own, or unset it',
  });

/** From /etc/passwd; users of a directory service are shown by their id. */
export const nameOfUser = (uid: number): string => {
  try {
    const line = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((each) => each.split(':')[2] === String(uid));
    return line?.split(':')[0] || `the user with id ${uid}`;
  } catch {
    return `the user with id ${uid}`;
  }
};
