import type { IgnoreRules } from '../../context/ignore.ts';
import { checkoutCommit } from '../../git/git-checkout.ts';
import { resolveCommit } from '../../git/git-repository.ts';
import { parseGitSource } from '../../git/git-url.ts';
import type { BuildContext } from '../frame/build-context.ts';
import type { CopySource } from '../layer/copy-plan.ts';
import { selectSources } from '../layer/copy-select.ts';
import { StepFault } from '../layer/step-error.ts';
import { openCheckout } from './remote-context.ts';

export interface AddedGit {
  /** Its part of the cache key: the commit, as in BuildKit. */
  readonly facts: readonly unknown[];
  readonly source: () => Promise<CopySource>;
}

export interface AddGitOptions {
  readonly checksum: string | undefined;
  readonly keepGitDir: boolean;
  readonly exclude: IgnoreRules;
  readonly closers: Array<() => Promise<void>>;
}

/** A repository that ADD names. Only its commit is asked for; the files come with `source`, and `closers` gets what removes them. */
export const addGit = async (build: BuildContext, url: string, options: AddGitOptions): Promise<AddedGit> => {
  const source = parseGitSource(url);
  const { buildFolder, signal, request } = build;
  // A Dockerfile may be untrusted: it may use the keys given for the build, not the user's own.
  const git = { buildFolder, signal, access: { secrets: request.secrets, ssh: request.ssh?.default } };
  const keepGitDir = source.keepGitDir ?? options.keepGitDir;
  const commit = await resolveCommit({ ...source, checksum: mergeChecksums(source.checksum, options.checksum) }, git);
  return {
    facts: ['git', source.remote, commit.id, source.subdir, source.submodules, keepGitDir ? [commit.ref ?? ''] : []],
    source: async () => {
      const { folder, close } = await checkoutCommit(source, commit, { ...git, keepGitDir });
      options.closers.push(close);
      const tree = await openCheckout(folder, buildFolder);
      return { tree, selections: selectSources({ tree, sources: ['/'], exclude: options.exclude, parents: false }) };
    },
  };
};

const mergeChecksums = (inUrl: string | undefined, flag: string | undefined): string | undefined => {
  if (flag !== undefined && !/^[0-9a-f]{7,64}$/.test(flag)) {
    throw new StepFault(`invalid checksum ${JSON.stringify(flag)}: a commit, or at least its first 7 digits, is expected`);
  }
  if (inUrl !== undefined && flag !== undefined && inUrl !== flag) {
    throw new StepFault(`checksum conflicts: ${inUrl} vs ${flag}`);
  }
  return flag ?? inUrl;
};
