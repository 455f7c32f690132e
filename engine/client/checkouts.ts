import { mkdir, readFile, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isErrno } from '../../base/errors.ts';
import { exists, listFolder, writeFileAtomic } from '../../base/host/files.ts';
import { withLock } from '../../base/host/lock.ts';
import { identifyProcess, isAlive, type ProcessIdentity } from '../../base/host/process.ts';
import { type HomePaths, homePaths } from '../../base/paths.ts';
import { openStateReader } from '../state/store.ts';
import { checkoutLabel } from './checkout-label.ts';

/** A folder with Compose files, and the name its files or the folder itself give the stack. */
export interface CheckoutRequest {
  readonly name: string;
  readonly workingDir: string;
  /** Names of its services, to tell a copy of a project from another part of one. */
  readonly services: readonly string[];
  /** True for commands that bring the stack up: the name is this folder's from now on. */
  readonly claim: boolean;
}

export interface Checkout {
  /** The name of this folder's stack. */
  readonly name: string;
  /** The folder whose stack has the name that was asked for; only when this folder is told apart from it for the first time. */
  readonly apartFrom?: string;
}

interface Claim {
  readonly name: string;
  /** What the files call it. */
  readonly base: string;
  readonly dir: string;
  readonly services: readonly string[];
  /** The command that made the claim: the stack has no machines until it has gone on for a while. */
  readonly by: ProcessIdentity | undefined;
}

const LOCK_MS = 10_000;

/**
 * Which stack a folder means. Normally the one its files name. While another folder has a stack of that name, and that
 * folder is there and has mostly the same services, this is a second checkout of the project (a git worktree, a copy for a
 * review): its stack is told apart by its worktree, branch or folder, `shop-feature-x`, and stays so. Folders with other
 * services share a stack by its name, as in docker compose. Whoever names the project (`-p`, COMPOSE_PROJECT_NAME) never comes here.
 */
export const findCheckout = async (request: CheckoutRequest, paths: HomePaths = homePaths()): Promise<Checkout> => {
  const folder = paths.checkouts;
  const dir = await realpath(request.workingDir).catch(() => request.workingDir);
  const context = { folder, paths, request, dir };
  if (!request.claim) {
    return (await choose(context)).checkout;
  }
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await mkdir(paths.locks, { recursive: true, mode: 0o700 });
  return withLock(join(paths.locks, 'checkouts'), { timeout: LOCK_MS, what: 'the names of checkouts' }, async () => {
    const { checkout, known } = await choose(context);
    const { name } = checkout;
    if (known === undefined || known.services.join() !== request.services.join() || !(await isUp(paths, known))) {
      const claim: Claim = { name, base: request.name, dir, services: request.services, by: identifyProcess(process.pid) };
      await writeFileAtomic(join(folder, `${name}.json`), JSON.stringify(claim), 0o600);
    }
    return checkout;
  });
};

interface Context {
  readonly folder: string;
  readonly paths: HomePaths;
  readonly request: CheckoutRequest;
  readonly dir: string;
}

/** `known`: this folder's own claim. */
const choose = async ({ folder, paths, request, dir }: Context): Promise<{ checkout: Checkout; known?: Claim | undefined }> => {
  const isOwn = (claim: Claim): boolean => claim.dir === dir && claim.base === request.name;
  const first = await readClaim(join(folder, `${request.name}.json`));
  // Nearly always: every command comes here.
  if (first !== undefined && isOwn(first)) {
    return { checkout: { name: first.name }, known: first };
  }
  const claims = await readClaims(folder, request.name);
  const known = claims.find(isOwn);
  if (known !== undefined) {
    return { checkout: { name: known.name }, known };
  }
  const other = claims.find(({ name }) => name === request.name);
  if (other === undefined || !(await isUp(paths, other)) || !(await exists(other.dir)) || !isCopy(other.services, request.services)) {
    return { checkout: { name: request.name } };
  }
  const taken = new Set(claims.map(({ name }) => name));
  const label = `${request.name}-${await checkoutLabel(dir, request.name)}`;
  let name = label;
  for (let number = 2; taken.has(name) || name === request.name; number += 1) {
    name = `${label}-${number}`;
  }
  return { checkout: { name, apartFrom: other.dir } };
};

/** Whether the stack has machines, running or stopped, or data, or is just being brought up. */
const isUp = async (paths: HomePaths, claim: Claim): Promise<boolean> =>
  (claim.by !== undefined && isAlive(claim.by)) || (await exists(join(paths.machines, claim.name))) || hasVolumes(paths, claim.name);

/** Whether the database has volumes of that stack: their names alone do not tell, as `shop_api_data` may be of `shop` or of `shop_api`. */
const hasVolumes = (paths: HomePaths, name: string): boolean => {
  const state = openStateReader(paths.database);
  try {
    return state.volumes().some(({ stack }) => stack === name);
  } finally {
    state.close();
  }
};

const isCopy = (some: readonly string[], others: readonly string[]): boolean => {
  const both = some.filter((service) => others.includes(service)).length;
  return both > 0 && both * 2 >= new Set([...some, ...others]).size;
};

const readClaims = async (folder: string, base: string): Promise<Claim[]> => {
  const candidates = (await listFolder(folder)).filter(
    (name) => name.endsWith('.json') && (name === `${base}.json` || name.startsWith(`${base}-`)),
  );
  return (await Promise.all(candidates.map((name) => readClaim(join(folder, name))))).flatMap((claim) => claim ?? []);
};

/** Undefined for what is not a claim: it is overwritten by the next one. */
const readClaim = async (path: string): Promise<Claim | undefined> => {
  try {
    const claim = JSON.parse(await readFile(path, 'utf8')) as Partial<Claim>;
    const isClaim = typeof claim.base === 'string' && typeof claim.dir === 'string' && Array.isArray(claim.services);
    return isClaim && claim.name === basename(path, '.json') ? (claim as Claim) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || isErrno(error, 'ENOENT')) {
      return undefined;
    }
    throw error;
  }
};
