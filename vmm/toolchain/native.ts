import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { exists, writeFileAtomic } from '../../base/host/files.ts';
import { shortHash } from '../../base/paths.ts';

/** The package of compiled parts, beside or below hypr's own; scripts/pack makes it. */
const PACKAGE = '@hypr/linux-x64';

/** Its files, below bin/. */
export const NATIVE_PARTS = ['kestrel', 'gvproxy', 'share', 'machine', 'tsc', 'zygote.so', 'shares.so'] as const;
export type NativePart = (typeof NATIVE_PARTS)[number];

/** The compiled parts that came with hypr's package. */
export interface Native {
  /** Copies a part into `folder` as `<name>-<hash>` and returns that path. Throws TOOLCHAIN_FAILED if it is damaged. */
  install(part: NativePart, folder: string): Promise<string>;
  /** Changes with any part. */
  readonly id: string;
  /** Twelve digits of a part's SHA-256. */
  hashOf(part: NativePart): string;
}

/**
 * The compiled parts of an installed package; undefined in a clone, which compiles its own. `from` is where the search for
 * the package begins. They are copied, because a package may be replaced while machines run.
 */
export const findNative = async (from: string = import.meta.url): Promise<Native | undefined> => {
  const root = packageRoot(from);
  if (root === undefined) {
    return undefined;
  }
  const text = await readFile(join(root, 'SHA256SUMS'), 'utf8');
  const sums = parseSums(text);
  const sumOf = (part: NativePart): string => {
    const sum = sums.get(`bin/${part}`);
    if (sum === undefined) {
      throw damaged(part);
    }
    return sum;
  };
  return {
    id: shortHash(text, 12),
    hashOf: (part) => sumOf(part).slice(0, 12),
    install: async (part, folder) => {
      const suffix = extname(part);
      const target = join(folder, `${part.slice(0, part.length - suffix.length)}-${sumOf(part).slice(0, 12)}${suffix}`);
      if (!(await exists(target))) {
        const content = await readFile(join(root, 'bin', part));
        if (createHash('sha256').update(content).digest('hex') !== sumOf(part)) {
          throw damaged(part);
        }
        await writeFileAtomic(target, content, 0o755);
      }
      return target;
    },
  };
};

const damaged = (part: NativePart): HyprError =>
  new HyprError('TOOLCHAIN_FAILED', `${part} of ${PACKAGE} is not what SHA256SUMS says`, { hint: 'install hypr again' });

const packageRoot = (from: string): string | undefined => {
  try {
    return dirname(createRequire(from).resolve(`${PACKAGE}/package.json`));
  } catch {
    return undefined;
  }
};

/** Lines of sha256sum(1): the sum, two spaces, the name. Pure. */
export const parseSums = (text: string): Map<string, string> =>
  new Map([...text.matchAll(/^([0-9a-f]{64}) [ *](.+)$/gm)].map(([, sum = '', name = '']) => [name, sum]));
