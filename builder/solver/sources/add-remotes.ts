import { linkedController } from '../../../base/abort.ts';
import { parsePatterns } from '../../context/ignore.ts';
import { isGitSource } from '../../git/git-url.ts';
import type { BuildContext } from '../frame/build-context.ts';
import { selectSources } from '../layer/copy-select.ts';
import { SingleFileTree } from '../layer/single-file-tree.ts';
import { type AddedGit, type AddGitOptions, addGit } from './add-git.ts';
import { type Download, downloadUrl } from './download.ts';

/**
 * URLs and repositories that ADD names, fetched at once; the first failure cancels the others. `closers` gets what removes
 * their files.
 */
export const addRemotes = async (build: BuildContext, urls: readonly string[], options: AddGitOptions): Promise<AddedGit[]> => {
  const failing = linkedController(build.signal);
  const own = { ...build, signal: failing.signal };
  const results = await Promise.allSettled(
    urls.map(async (url) => {
      try {
        return await (isGitSource(url) ? addGit(build, url, options) : addUrl(own, url, options));
      } catch (error) {
        failing.abort(error);
        throw error;
      }
    }),
  );
  failing.signal.throwIfAborted();
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
};

const addUrl = async (build: BuildContext, url: string, { checksum, closers }: AddGitOptions): Promise<AddedGit> => {
  const { buildFolder, signal, request } = build;
  const download = await downloadUrl(url, { buildFolder, signal, secrets: request.secrets, checksum });
  closers.push(download.release);
  const name = nameOf(download);
  const { file, digest, size, mtime } = download;
  const tree = new SingleFileTree({ name, file, digest, size, mode: 0o600, mtime });
  const selections = selectSources({ tree, sources: [`/${escapeGlob(name)}`], exclude: parsePatterns([], NOWHERE), parents: false });
  return { source: () => Promise.resolve({ tree, selections }), facts: [name, digest, mtime] };
};

const NOWHERE = { file: '', line: 0 };

const escapeGlob = (name: string): string => name.replace(/[*?[\\]/g, '\\$&');

/** The last part of the address's path, or what BuildKit calls a file without one. */
const nameOf = ({ name }: Download): string => (['', '.', '..'].includes(name) ? '__unnamed__' : name);
