import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HyprError, isErrno, messageOf } from '../../base/errors.ts';
import { diskError, syncFolder } from '../../base/host/files.ts';
import { withLock } from '../../base/host/lock.ts';
import { stagingPathBeside } from '../../base/host/staging.ts';
import { DEFAULT_DOMAIN } from '../names/directory.ts';
import { makeRoot } from './make-root.ts';

/** The user's certificate authority. It can vouch for names of `domain` and `localhost` only, and for no address. */
export interface Authority {
  readonly domain: string;
  /** PEM. */
  readonly cert: string;
  readonly certPath: string;
  readonly key: KeyObject;
  /** `hypr development CA 3f9a2c (ada@laptop)`: each authority has a name of its own, because trust stores go by it. */
  readonly name: string;
  /** SHA-256 of the certificate, as browsers show it: `AB:CD:…`. */
  readonly fingerprint: string;
  readonly notAfter: Date;
}

const CERT = 'ca.pem';
const KEY = 'key.pem';
const MAX_BYTES = 64 * 1024;

/**
 * Makes or reads the authority of `domain`, which is in `folder/domain`: `ca.pem`, and `key.pem` for its owner only. Of several
 * processes at once one makes it and all use that one. An expired one is replaced. Throws NET_CERTIFICATE when what is there is
 * damaged, or its key open to others.
 */
export const openAuthority = async (folder: string, domain: string = DEFAULT_DOMAIN): Promise<Authority> => {
  const found = await readAuthority(folder, domain);
  return isValid(found) ? found : replaceAuthority(folder, domain);
};

const isValid = (found: Authority | undefined): found is Authority => found !== undefined && found.notAfter.getTime() > Date.now();

/** Under a lock, so that of two processes that find an expired one the second does not replace what the first has made. */
const replaceAuthority = async (folder: string, domain: string): Promise<Authority> => {
  const path = join(folder, domain);
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw diskError(error, path);
  });
  return withLock(join(folder, `.${domain}.lock`), { what: "hypr's certificate authority" }, async () => {
    const found = await readAuthority(folder, domain);
    if (isValid(found)) {
      return found;
    }
    if (found !== undefined) {
      await moveAway(path);
    }
    await makeAuthority(path, domain);
    const made = await readAuthority(folder, domain);
    if (made === undefined) {
      throw broken(path, 'it was removed while it was being made');
    }
    return made;
  });
};

/** The authority of `domain`, or undefined where none was made yet. Errors as of openAuthority. */
export const readAuthority = async (folder: string, domain: string = DEFAULT_DOMAIN): Promise<Authority | undefined> => {
  const path = join(folder, domain);
  const [cert, keyText] = await Promise.all([readOwn(join(path, CERT), path), readOwn(join(path, KEY), path, OTHERS)]);
  if (cert === undefined && keyText === undefined) {
    return undefined;
  }
  if (cert === undefined || keyText === undefined) {
    throw broken(path, `${cert === undefined ? CERT : KEY} is missing`);
  }
  try {
    const parsed = new X509Certificate(cert);
    const key = createPrivateKey(keyText);
    if (!parsed.ca || !parsed.checkPrivateKey(key)) {
      throw broken(path, 'key and certificate do not belong together');
    }
    const name = /^CN=(.*)$/m.exec(parsed.subject)?.[1] ?? parsed.subject;
    const { fingerprint256: fingerprint, validToDate: notAfter } = parsed;
    return { domain, cert, certPath: join(path, CERT), key, name, fingerprint, notAfter };
  } catch (error) {
    throw error instanceof HyprError ? error : broken(path, messageOf(error), error);
  }
};

const OTHERS = 0o077;

/** A regular file of this user's, which has none of the bits of `forbidden`; undefined where there is none. */
const readOwn = async (file: string, path: string, forbidden = 0): Promise<string | undefined> => {
  try {
    const info = await lstat(file);
    if (!info.isFile() || info.size > MAX_BYTES || info.uid !== process.getuid?.()) {
      throw broken(path, `${file} is not a file of this user's`);
    }
    if ((info.mode & forbidden) !== 0) {
      throw new HyprError('NET_CERTIFICATE', `${file} is the key of hypr's certificate authority, and others may read it`, {
        hint: `if nobody else did: chmod 600 ${file}; otherwise remove ${path} and run: hypr setup --undo && hypr setup --browser`,
      });
    }
    return await readFile(file, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      return undefined;
    }
    throw isErrno(error, 'EACCES', 'EPERM') ? broken(path, `${file} may not be read`, error) : error;
  }
};

/** Staged as a whole folder and renamed: a rename onto a folder with files fails, so the first one stays. */
const makeAuthority = async (path: string, domain: string): Promise<void> => {
  const { cert, key } = await makeRoot(domain);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw diskError(error, path);
  });
  const staging = await stagingPathBeside(path);
  try {
    await mkdir(staging, { mode: 0o700 });
    await writeSynced(join(staging, KEY), key, 0o600);
    await writeSynced(join(staging, CERT), cert, 0o644);
    await syncFolder(staging);
    await rename(staging, path);
    await syncFolder(dirname(path));
  } catch (error) {
    if (!isErrno(error, 'ENOTEMPTY', 'EEXIST')) {
      throw diskError(error, path);
    }
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
};

const writeSynced = async (file: string, text: string, mode: number): Promise<void> => {
  const handle = await open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, mode);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
};

/** Another process may do the same at the same time: then it is gone already. */
const moveAway = async (path: string): Promise<void> => {
  const away = await stagingPathBeside(path);
  try {
    await rename(path, away);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) {
      throw diskError(error, path);
    }
  }
  await rm(away, { recursive: true, force: true });
};

const broken = (path: string, why: string, cause?: unknown): HyprError =>
  new HyprError('NET_CERTIFICATE', `hypr's certificate authority in ${path} cannot be used: ${why}`, {
    hint: `remove ${path}, then hypr setup --undo and hypr setup --browser make another and have it trusted`,
    cause,
  });
