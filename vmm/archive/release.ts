import { HyprError, messageOf } from '../../base/errors.ts';
import { parseParagraph } from './paragraphs.ts';

/** An index of a suite, after its signature was checked. */
export interface Release {
  /** When it was made, in milliseconds. */
  readonly date: number;
  /** Path below `dists/SUITE/` → what its content must be. */
  readonly files: ReadonlyMap<string, IndexFile>;
  /** Whether files are also at `by-hash/SHA256/HASH`, where they stay while the index is replaced. */
  readonly byHash: boolean;
}

export interface IndexFile {
  readonly sha256: string;
  readonly bytes: number;
}

/**
 * The content of an InRelease file (a clear-signed message, RFC 9580 section 7) if one of these keys signed it. Only what
 * was signed is read. Throws TOOLCHAIN_FAILED otherwise, and for an index of another suite or one that is no longer valid.
 */
export const readRelease = async (text: string, source: { suite: string; keys: string }, now = new Date()): Promise<Release> => {
  const fields = parseParagraph(await verifiedText(text, source.keys, now));
  const { Codename: codename, Date: made = '', 'Valid-Until': until, SHA256: sums = '' } = fields;
  if (codename !== source.suite) {
    throw refused(`it is the index of ${codename ?? 'no suite'} and not of ${source.suite}`);
  }
  if (until !== undefined && Date.parse(until) < now.getTime()) {
    throw refused(`it was valid until ${until}`, "check this host's clock, or use another mirror");
  }
  const files = new Map<string, IndexFile>();
  for (const [, sha256 = '', bytes, path = ''] of sums.matchAll(/^\s*([0-9a-f]{64})\s+(\d+)\s+(\S+)$/gm)) {
    files.set(path, { sha256, bytes: Number(bytes) });
  }
  return { date: Date.parse(made) || 0, files, byHash: fields['Acquire-By-Hash'] === 'yes' };
};

const verifiedText = async (text: string, armoredKeys: string, date: Date): Promise<string> => {
  const { readCleartextMessage, readKeys, verify } = await import('openpgp');
  try {
    const message = await readCleartextMessage({ cleartextMessage: text });
    const { data, signatures } = await verify({ message, verificationKeys: await readKeys({ armoredKeys }), date });
    const results = await Promise.allSettled(signatures.map(({ verified }) => verified));
    if (results.some((result) => result.status === 'fulfilled' && result.value)) {
      return data;
    }
    const reasons = results.flatMap((result) => (result.status === 'rejected' ? [messageOf(result.reason)] : []));
    throw refused('none of the known keys signed it', "check this host's clock, or use another mirror", reasons);
  } catch (error) {
    throw error instanceof HyprError ? error : refused(`it is not a signed message: ${messageOf(error)}`, 'use another mirror');
  }
};

const refused = (why: string, hint?: string, details?: readonly string[]): HyprError =>
  new HyprError('TOOLCHAIN_FAILED', `the index of the package archive is refused: ${why}`, {
    ...(hint === undefined ? {} : { hint }),
    ...(details === undefined ? {} : { details }),
  });
