import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, statSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { HyprError, isErrno } from './errors.ts';
import { sha256 } from './sha256.ts';

/** The folder of all data: `HYPR_HOME`, `HYPR_DATA_DIR` (another name for it) or `~/.hypr`. */
export const hyprHome = (env: NodeJS.ProcessEnv = process.env): string => env.HYPR_HOME ?? env.HYPR_DATA_DIR ?? join(homedir(), '.hypr');

/** The only list of folders below HYPR_HOME. */
export const homePaths = (home: string = hyprHome()) => ({
  home,
  database: join(home, 'hypr.db'),
  /** What the user has set for all stacks. */
  settings: join(home, 'settings.json'),
  toolchain: join(home, 'toolchain'),
  images: join(home, 'images'),
  build: join(home, 'build'),
  volumes: join(home, 'volumes'),
  /** Writable layers and per-replica files: `machines/<stack>/<name>`. */
  machines: join(home, 'machines'),
  logs: join(home, 'logs'),
  /** What happened, for `events` (engine/logs/record). */
  events: join(home, 'events'),
  cache: join(home, 'cache'),
  locks: join(home, 'locks'),
  /** Which folder each stack's name belongs to. */
  checkouts: join(home, 'checkouts'),
  /** The user's certificate authority, one folder for each domain. */
  authority: join(home, 'ca'),
  /** What `hypr setup --browser` changed, and copies of what was there before. */
  setup: join(home, 'setup'),
  /** Profiles of browsers that `hypr open` starts. */
  browsers: join(home, 'browsers'),
});

export type HomePaths = ReturnType<typeof homePaths>;

/**
 * Where sockets and pid files live: `HYPR_RUNTIME_DIR`, `$XDG_RUNTIME_DIR/hypr`, or a private folder
 * in the temporary folder; created 0700. Two HYPR_HOMEs never share one. Kept short, because the path
 * of a unix socket must stay under 104 bytes.
 */
export const runtimeDir = (env: NodeJS.ProcessEnv = process.env): string => {
  const base =
    env.HYPR_RUNTIME_DIR ?? (env.XDG_RUNTIME_DIR ? join(env.XDG_RUNTIME_DIR, 'hypr') : join(tmpdir(), `hypr-${process.getuid?.() ?? 0}`));
  const dir = join(base, sha256(hyprHome(env)).slice(0, 6));
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw isErrno(error, 'EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST') ? runtimeError(dir, 'it cannot be created', error) : error;
  }
  refuseForeign(base, dir);
  return dir;
};

/** In a shared temporary folder another user could have created it first, and would then control every socket in it. */
const refuseForeign = (base: string, dir: string): void => {
  const me = process.getuid?.() ?? 0;
  const parent = statSync(base);
  const own = lstatSync(dir);
  const isOpen = (parent.mode & 0o022) !== 0 && (parent.mode & STICKY) === 0;
  const isForeign = (parent.uid !== me && parent.uid !== 0) || !own.isDirectory() || own.uid !== me || (own.mode & 0o022) !== 0;
  if (isOpen || isForeign) {
    throw runtimeError(dir, 'another user owns it or may write to it');
  }
};

const runtimeError = (dir: string, why: string, cause?: unknown): HyprError =>
  new HyprError('HYPR_PERMISSION', `${dir} is the folder for sockets, but ${why}`, {
    hint: 'remove it, or set XDG_RUNTIME_DIR or HYPR_RUNTIME_DIR to a private folder',
    cause,
  });

const STICKY = 0o1000;

/** The socket folder of one stack; the name is hashed when it is long. */
export const stackRuntimeDir = (stack: string, env: NodeJS.ProcessEnv = process.env): string =>
  join(runtimeDir(env), stack.length <= 20 ? stack : `${stack.slice(0, 11)}-${sha256(stack).slice(0, 8)}`);

export const shortHash = (text: string, length: number): string => createHash('sha256').update(text).digest('hex').slice(0, length);
