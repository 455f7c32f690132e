import { posix } from 'node:path';
import { parsePatterns } from '../../context/ignore.ts';
import type { FileTree } from '../../context/tree.ts';
import { expandWord } from '../../dockerfile/expand.ts';
import type { AddInstruction, CopyInstruction, Heredoc } from '../../dockerfile/instruction.ts';
import { isGitSource } from '../../git/git-url.ts';
import type { BuildContext, SourceRoot } from '../frame/build-context.ts';
import { type CacheRecord, makeKey } from '../frame/cache.ts';
import type { Vertex } from '../frame/progress.ts';
import { lookupIn, type StageState, workdirOf } from '../frame/state.ts';
import { type CopySource, planCopy } from '../layer/copy-plan.ts';
import { digestSelections, type Selection, selectSources } from '../layer/copy-select.ts';
import { type ModeChange, parseModeChange } from '../layer/file-mode.ts';
import { LayerTree } from '../layer/layer-tree.ts';
import { StepFault } from '../layer/step-error.ts';
import type { LayerItem } from '../layer/tar-write.ts';
import { resolveOwner } from '../layer/users.ts';
import { addRemotes } from '../sources/add-remotes.ts';
import { ArchiveOpener } from '../sources/archive.ts';
import { isUrl } from '../sources/download.ts';
import { resolveSource } from '../sources/sources.ts';
import { runFileStep } from './file-step.ts';
import { withSteadyFiles } from './steady-files.ts';

type Instruction = CopyInstruction | AddInstruction;

/** A COPY or ADD with every variable expanded. */
export interface ExpandedCopy {
  readonly instruction: Instruction;
  readonly sources: readonly string[];
  readonly documents: ReadonlyArray<{ readonly name: string; readonly content: string }>;
  /** Absolute; ends with a slash when it has to be a folder. */
  readonly target: string;
  /** The target as it is written, expanded. */
  readonly written: string;
  readonly chown: string | undefined;
  readonly chmod: string | undefined;
  readonly checksum: string | undefined;
}

/** What was found of the sources, in the order of the instruction. */
interface Found {
  readonly local: { readonly tree: FileTree; readonly selections: readonly Selection[] };
  readonly downloads: ReadonlyArray<{ readonly source: () => Promise<CopySource>; readonly facts: readonly unknown[] }>;
}

export const expandCopy = (instruction: Instruction, state: StageState, escapeChar: string): ExpandedCopy => {
  const lookup = lookupIn(state);
  const expand = (text: string) => expandWord(text, lookup, { escape: escapeChar });
  const optional = (text: string | undefined) => (text === undefined ? undefined : expand(text));
  const expandBody = (doc: Heredoc) => (doc.expand ? expandWord(doc.content, lookup, { escape: '\\', plainQuotes: true }) : doc.content);
  const written = expand(instruction.target);
  return {
    instruction,
    sources: instruction.sources.map(expand),
    documents: instruction.documents.map((doc) => ({ name: doc.name, content: expandBody(doc) })),
    target: joinTarget(workdirOf(state), written),
    written,
    chown: optional(instruction.chown),
    chmod: optional(instruction.chmod),
    checksum: instruction.kind === 'add' ? optional(instruction.checksum) : undefined,
  };
};

/** What the image's history says of it. */
export const describeCopy = ({ instruction, sources, documents, written, chown, chmod }: ExpandedCopy): string =>
  [
    instruction.kind.toUpperCase(),
    ...(instruction.kind === 'copy' && instruction.parents ? ['--parents'] : []),
    ...(chown ? [`--chown=${chown}`] : []),
    ...(chmod ? [`--chmod=${chmod}`] : []),
    ...sources,
    ...documents.map(({ name }) => `<<${name}`),
    written,
  ].join(' ');

interface CopyStep {
  readonly copy: ExpandedCopy;
  readonly state: StageState;
  readonly index: number;
  readonly noCache: boolean;
  readonly source: SourceRoot | undefined;
}

/** The layer of a COPY or ADD. `index` is the stage it is in. Throws StepFault. */
export const runCopy = (build: BuildContext, vertex: Vertex, step: CopyStep): Promise<CacheRecord> =>
  withSteadyFiles(build, () => copyOnce(build, vertex, step));

const copyOnce = async (build: BuildContext, vertex: Vertex, step: CopyStep): Promise<CacheRecord> => {
  const { copy, state } = step;
  checkSources(copy);
  const chmod = copy.chmod ? parseModeChange(copy.chmod) : undefined;
  const facts = { ...definitionFacts(copy), root: state.key };
  const isDefinite = step.source?.key !== undefined && !copy.sources.some(isRemote);
  let found: Found | undefined;
  const opener = new ArchiveOpener(build.buildFolder);
  const closers: Array<() => Promise<void>> = [() => opener.close()];
  return await runFileStep(build, vertex, {
    layers: state.layers,
    noCache: step.noCache,
    rebuilt: step.source?.rebuilt === true,
    definitionKey: isDefinite ? makeKey('copy-definition', { ...facts, from: step.source?.key }) : undefined,
    contentKey: async () => {
      found = await findSources(build, copy, { source: step.source, closers });
      const digest = await digestSelections(found.local.tree, found.local.selections, build.signal);
      return makeKey('copy', { ...facts, digest, downloads: found.downloads.map((download) => download.facts) });
    },
    plan: async (root) => await planLayer({ build, copy, found: found ?? NOTHING, root, chmod, opener }),
    close: async () => void (await Promise.all(closers.map((close) => close()))),
  });
};

const NOTHING: Found = { local: { tree: LayerTree.empty, selections: [] }, downloads: [] };

/** The source that a COPY or ADD reads; undefined when it has only heredocs or URLs. */
export const sourceOfCopy = async (build: BuildContext, copy: ExpandedCopy, index: number): Promise<SourceRoot | undefined> => {
  const { instruction } = copy;
  const needsFiles = copy.sources.some((source) => instruction.kind === 'copy' || !isRemote(source));
  return needsFiles ? await resolveSource(build, instruction.kind === 'copy' ? instruction.from : undefined, index) : undefined;
};

const checkSources = ({ instruction, sources, documents, checksum }: ExpandedCopy): void => {
  if (sources.length + documents.length === 0) {
    throw new StepFault(`${instruction.kind.toUpperCase()} has no source`);
  }
  const remote = sources.filter(isRemote);
  if (instruction.kind === 'copy') {
    if (remote.length > 0) {
      throw new StepFault(`source can't be a URL for COPY: ${remote[0]}`, { hint: 'use ADD' });
    }
    return;
  }
  if (checksum !== undefined && (sources.length !== 1 || remote.length !== 1)) {
    throw new StepFault("checksum can't be specified for local files, nor for several sources");
  }
};

const definitionFacts = ({ instruction, sources, documents, target, chown, chmod, checksum }: ExpandedCopy) => ({
  kind: instruction.kind,
  sources,
  documents,
  target,
  chown: chown ?? '',
  chmod: chmod ?? '',
  checksum: checksum ?? '',
  link: instruction.link,
  exclude: instruction.exclude,
  parents: instruction.kind === 'copy' && instruction.parents,
  unpack: instruction.kind === 'add' ? (instruction.unpack ?? 'default') : false,
});

const isRemote = (source: string): boolean => isUrl(source) || isGitSource(source);

const findSources = async (
  build: BuildContext,
  copy: ExpandedCopy,
  { source, closers }: { source: SourceRoot | undefined; closers: Array<() => Promise<void>> },
): Promise<Found> => {
  const { instruction } = copy;
  const urls = instruction.kind === 'add' ? copy.sources.filter(isRemote) : [];
  const { checksum } = copy;
  const keepGitDir = instruction.kind === 'add' && instruction.keepGitDir;
  const remote = { checksum, keepGitDir, exclude: excludeOf(build, instruction), closers };
  const downloads = await addRemotes(build, urls, remote);
  const tree = source === undefined ? LayerTree.empty : await source.tree();
  const selections = selectSources({
    tree,
    sources: copy.sources.filter((path) => !urls.includes(path)),
    exclude: excludeOf(build, instruction),
    parents: instruction.kind === 'copy' && instruction.parents,
    ...(source?.explainMissing ? { explainMissing: (path) => source.explainMissing?.(path) } : {}),
  });
  return { local: { tree, selections }, downloads };
};

const excludeOf = (build: BuildContext, instruction: Instruction) =>
  parsePatterns(instruction.exclude, { file: build.dockerfile.file, line: instruction.range.line });

const planLayer = async (options: {
  build: BuildContext;
  copy: ExpandedCopy;
  found: Found;
  root: LayerTree;
  chmod: ModeChange | undefined;
  opener: ArchiveOpener;
}): Promise<LayerItem[]> => {
  const { build, copy, found, root, chmod, opener } = options;
  const { instruction } = copy;
  return planCopy({
    // --link does not look at what it will lie on.
    root: instruction.link ? LayerTree.empty : root,
    owner: copy.chown ? await resolveOwner(copy.chown, root) : undefined,
    chmod,
    epoch: build.epoch,
    sources: await openSources(build, copy, found, opener),
    documents: copy.documents,
    target: copy.target,
    parents: instruction.kind === 'copy' && instruction.parents,
  });
};

const openSources = async (build: BuildContext, copy: ExpandedCopy, found: Found, opener: ArchiveOpener): Promise<CopySource[]> => {
  const { instruction } = copy;
  const downloads: CopySource[] = [];
  for (const { source } of found.downloads) {
    downloads.push(await source());
  }
  const plain: CopySource[] = [{ tree: found.local.tree, selections: found.local.selections }, ...downloads];
  const unpacked = instruction.kind === 'copy' || instruction.unpack === false ? [] : instruction.unpack ? plain : plain.slice(0, 1);
  const context = { exclude: excludeOf(build, instruction), signal: build.signal };
  const sources: CopySource[] = [];
  for (const source of plain) {
    for (const selection of source.selections) {
      const top = selection.entries[0]?.entry;
      const archive = unpacked.includes(source) && top ? await opener.open(source.tree, top, context) : undefined;
      sources.push(archive ? { ...archive, unpack: true } : { tree: source.tree, selections: [selection] });
    }
  }
  return sources;
};

/** WORKDIR + target; what BuildKit takes for a folder keeps its slash. */
const joinTarget = (workdir: string, target: string): string => {
  const isFolder = target === '' || target === '.' || target === '..' || /\/(\.{0,2})$/.test(target);
  const path = posix.resolve('/', workdir, target);
  return isFolder && path !== '/' ? `${path}/` : path;
};
