import { baseName, cleanPath, dirName, type FileTree, joinPath } from '../../context/tree.ts';
import type { Selection } from './copy-select.ts';
import { LayerPlan, type PlanOptions } from './layer-plan.ts';
import type { LayerItem } from './tar-write.ts';

export interface CopySource {
  readonly tree: FileTree;
  readonly selections: readonly Selection[];
  /** ADD of an archive: its content goes into the target and replaces what is in the way. */
  readonly unpack?: boolean;
}

export interface CopyPlanOptions extends PlanOptions {
  readonly sources: readonly CopySource[];
  readonly documents: ReadonlyArray<{ readonly name: string; readonly content: string }>;
  /** Absolute; a slash at the end makes it a folder. */
  readonly target: string;
  readonly parents: boolean;
}

/** The layer a COPY or ADD makes, by the rules of BuildKit's copy: of several files that get one name the last one stays. Throws StepFault. */
export const planCopy = (options: CopyPlanOptions): LayerItem[] => {
  const plan = new LayerPlan(options);
  const { target } = options;
  for (const source of options.sources) {
    for (const selection of source.selections) {
      copySelection(plan, source, selection, options);
    }
  }
  for (const { name, content } of options.documents) {
    plan.putBytes(placeFile(plan, target, name), Buffer.from(content), 0o644);
  }
  return plan.items();
};

const copySelection = (plan: LayerPlan, source: CopySource, selection: Selection, options: CopyPlanOptions): void => {
  const top = selection.entries[0]?.entry;
  if (top === undefined) {
    return;
  }
  const { tree } = source;
  if (options.parents) {
    const folder = plan.makeFolder(options.target);
    for (const parent of selection.parents) {
      plan.put(joinPath(folder, parent.path), parent, { tree, overwriteFolder: false, replace: false });
    }
    const base = selection.parents.at(-1)?.path ?? '';
    copyEntries(plan, source, selection, joinPath(joinPath(folder, base), selection.name));
  } else if (top.type === 'dir') {
    copyEntries(plan, source, selection, plan.makeFolder(options.target));
  } else {
    copyEntries(plan, source, selection, placeFile(plan, options.target, selection.name));
  }
};

/** The top keeps the attributes of a folder that is already there; folders below take the source's. */
const copyEntries = (plan: LayerPlan, source: CopySource, selection: Selection, base: string): void => {
  // Hard links are kept within one source, not between two.
  const identities = new Map<object, object>();
  // Where each folder of the source goes: one that an archive has no entry of may be a link in the image, which is followed.
  const folders = new Map([['', base]]);
  for (const { below, entry } of selection.entries) {
    if (base === '' && below === '') {
      continue;
    }
    const path = below === '' ? base : joinPath(folders.get(dirName(below)) ?? joinPath(base, dirName(below)), baseName(below));
    if (source.unpack && entry.isImplied && plan.get(path)?.type === 'symlink') {
      folders.set(below, plan.makeFolder(path));
      continue;
    }
    if (entry.type === 'dir' && below !== '') {
      folders.set(below, path);
    }
    const identity = identities.get(entry.identity) ?? {};
    identities.set(entry.identity, identity);
    plan.put(path, { ...entry, identity }, { tree: source.tree, overwriteFolder: below !== '', replace: source.unpack ?? false });
  }
};

/** Where a file goes: into a target that ends with a slash or is a folder, else under the target's name. */
const placeFile = (plan: LayerPlan, target: string, name: string): string => {
  if (target.endsWith('/')) {
    return joinPath(plan.makeFolder(target), name);
  }
  const folder = plan.makeFolder(dirName(cleanPath(target)));
  const path = plan.resolve(joinPath(folder, cleanPath(target).split('/').at(-1) ?? ''));
  if (plan.get(path)?.type === 'dir') {
    return joinPath(path, name);
  }
  plan.makeFolder(dirName(path));
  return path;
};
