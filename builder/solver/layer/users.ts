import { findEntry } from '../../context/tree.ts';
import type { LayerTree } from './layer-tree.ts';
import { StepFault } from './step-error.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

const MAX_ID = 2 ** 32 - 2;

/**
 * `user[:group]` of --chown and USER as numbers; names are looked up in the tree's /etc/passwd and
 * /etc/group; where that file is not there at all, a name is 0 (BuildKit). A number alone is its own group, a name alone has its primary one. Throws StepFault.
 */
export const resolveOwner = async (text: string, tree: LayerTree): Promise<Owner> => {
  const [user = '', group] = text.split(':', 2);
  const uid = user === '' ? 0 : parseId(user);
  if (uid !== undefined) {
    return { uid, gid: group === undefined || group === '' ? uid : await resolveGroup(group, tree) };
  }
  const users = await readTable(tree, 'etc/passwd');
  const line = users === undefined ? [user, '', '0', '0'] : users.find((fields) => fields[0] === user);
  if (line === undefined) {
    throw new StepFault(`can't find uid for user ${user}: no such user: ${user}`, {
      hint: 'names are looked up in /etc/passwd of the image being built; create the user first, or use numbers',
    });
  }
  const gid = group === undefined || group === '' ? Number(line[3] ?? 0) : await resolveGroup(group, tree);
  return { uid: Number(line[2] ?? 0), gid };
};

const resolveGroup = async (group: string, tree: LayerTree): Promise<number> => {
  const gid = parseId(group);
  if (gid !== undefined) {
    return gid;
  }
  const groups = await readTable(tree, 'etc/group');
  const line = groups === undefined ? [group, '', '0'] : groups.find((fields) => fields[0] === group);
  if (line === undefined) {
    throw new StepFault(`can't find gid for group ${group}: no such group: ${group}`, {
      hint: 'names are looked up in /etc/group of the image being built; create the group first, or use numbers',
    });
  }
  return Number(line[2] ?? 0);
};

const parseId = (text: string): number | undefined => {
  if (!/^\d{1,10}$/.test(text)) {
    return undefined;
  }
  const id = Number(text);
  if (id > MAX_ID) {
    throw new StepFault(`user or group id ${text} is out of range`);
  }
  return id;
};

/** Undefined when there is no such file. */
const readTable = async (tree: LayerTree, path: string): Promise<string[][] | undefined> => {
  const entry = findEntry(tree, path);
  const text = entry === undefined ? undefined : await tree.readText(entry.path);
  return text
    ?.split('\n')
    .map((line) => line.split(':'))
    .filter((fields) => fields.length > 2 && /^\d{1,10}$/.test(fields[2] ?? ''));
};
