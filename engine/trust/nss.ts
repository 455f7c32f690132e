import { join } from 'node:path';
import Database from 'better-sqlite3';
import { HyprError, messageOf } from '../../base/errors.ts';
import { type RunResult, runProgram } from '../../base/host/process.ts';
import { logger } from '../../base/log.ts';
import type { Tool } from '../../vmm/model/tools.ts';
import { toolCommand } from '../../vmm/toolchain/programs.ts';

const log = logger('trust');

/** Certificate stores of NSS, which Chromium, Firefox and their kin read on Linux: `cert9.db`, `key4.db` and `pkcs11.txt` in a folder. */
export interface Nss {
  /** Makes an empty store without a password. */
  create(folder: string): Promise<void>;
  /** Adds a certificate (PEM) that may vouch for servers. */
  add(folder: string, nickname: string, certificate: string): Promise<void>;
  remove(folder: string, nickname: string): Promise<void>;
}

export const STORE_FILES = ['cert9.db', 'key4.db', 'pkcs11.txt'] as const;
const TIMEOUT = 20_000;

/** Stores through certutil. Every call fails with SETUP_REFUSED where the store cannot be changed: a password, no right to write. */
export const openNss = (certutil: Tool, signal: AbortSignal): Nss => {
  const run = async (folder: string, args: readonly string[], input = ''): Promise<RunResult> => {
    // An empty password in a file: otherwise certutil asks forever where there is no terminal.
    const all = [...args, '-d', `sql:${folder}`, '-f', '/dev/null'];
    const { file, args: line } = toolCommand(certutil, all);
    const result = await runProgram(file, line, { signal, timeout: TIMEOUT, input });
    if (result.code !== 0) {
      throw refusal(folder, `${result.stderr}\n${result.stdout}`);
    }
    return result;
  };
  return {
    create: async (folder) => void (await run(folder, ['-N', '--empty-password'])),
    add: async (folder, nickname, certificate) => void (await run(folder, ['-A', '-t', 'C,,', '-n', nickname], certificate)),
    remove: async (folder, nickname) => void (await run(folder, ['-D', '-n', nickname])),
  };
};

/**
 * Nicknames of the certificates in a store, read without certutil, which this host may lack: `a3` is PKCS #11's CKA_LABEL. A
 * store of another format, or one that cannot be read, has none.
 */
export const listNicknames = (folder: string): string[] => {
  try {
    const database = new Database(join(folder, 'cert9.db'), { readonly: true, fileMustExist: true });
    try {
      const rows = database.prepare('SELECT DISTINCT a3 AS label FROM nssPublic WHERE a3 IS NOT NULL').all() as Array<{ label: unknown }>;
      return rows.flatMap(({ label }) => (Buffer.isBuffer(label) ? [label.toString('utf8')] : []));
    } finally {
      database.close();
    }
  } catch (error) {
    log.debug('a certificate store cannot be read', { folder, error: messageOf(error) });
    return [];
  }
};

const refusal = (folder: string, output: string): HyprError =>
  new HyprError('SETUP_REFUSED', `the certificate store ${folder} cannot be changed`, {
    details: output.trim().split('\n').slice(0, 4),
    hint: 'a profile with a primary password takes no certificate from outside: import it in the browser, from the file that hypr trust names',
  });
