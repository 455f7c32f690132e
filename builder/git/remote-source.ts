import { isGitContext } from './git-url.ts';

/** A context that is no folder: git, a URL, `-` for standard input. */
export const isRemoteSource = (source: string): boolean => source === '-' || isGitContext(source) || /^https?:\/\//i.test(source);

/** For people: without credentials and query. */
export const shownSource = (source: string): string => source.replace(/^(https?:\/\/)[^/@]*@/i, '$1').replace(/\?.*/, '');
