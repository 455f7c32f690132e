import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HyprError, isErrno } from '../../base/errors.ts';

/** The folder of the gateway's Go sources: beside this one, or in net/ beside the bundle's folder. Throws TOOLCHAIN_MISSING. */
export const gatewaySources = async (): Promise<string> => {
  for (const relative of ['../gateway/go.mod', '../net/gateway/go.mod']) {
    const path = fileURLToPath(new URL(relative, import.meta.url));
    try {
      await access(path);
      return dirname(path);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) {
        throw error;
      }
    }
  }
  throw new HyprError('TOOLCHAIN_MISSING', 'net/gateway is missing', { hint: 'install hypr again' });
};
