import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { basename, join } from 'node:path';
import { readTextIfThere, writeFileAtomic } from '../../base/host/files.ts';
import { Damage } from './damage.ts';

/** In a folder of the store: file → sha256 in hexadecimal, of what no digest outside covers. */
const SEAL = 'digests.json';

/** Records the digests of these files of a folder, so that `checkSeal` can tell whether they are still what was made. */
export const sealFolder = async (folder: string, files: readonly string[]): Promise<void> => {
  const digests: Record<string, string> = {};
  for (const file of files) {
    digests[file] = await hashFile(join(folder, file));
  }
  await writeFileAtomic(join(folder, SEAL), JSON.stringify(digests));
};

/** Throws when a sealed file is not what was made. A folder that an older hypr made has no seal. */
export const checkSeal = async (folder: string): Promise<void> => {
  const text = await readTextIfThere(join(folder, SEAL));
  if (text === undefined) {
    return;
  }
  for (const [file, digest] of Object.entries(JSON.parse(text) as Record<string, string>)) {
    // The name is that of a file here, whatever a damaged seal says.
    if ((await hashFile(join(folder, basename(file)))) !== digest) {
      throw new Damage(`${file} is not what was made`);
    }
  }
};

const hashFile = async (path: string): Promise<string> => {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) {
    hash.update(chunk as Uint8Array);
  }
  return hash.digest('hex');
};
