import { watch } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { basename, dirname, join, posix, relative, sep } from 'node:path';
import { whenAborted } from '../../base/abort.ts';
import { HyprError, isErrno, messageOf, toHyprError } from '../../base/errors.ts';
import type { Project } from '../../compose/model/model.ts';
import { EXEC_DEFAULTS, VERB_DEFAULTS } from '../model/option-defaults.ts';
import type { Stack, WatchOptions } from '../model/types.ts';
import { packFiles } from './files/pack-files.ts';
import { type WatchRule, watchRules } from './watch-rules.ts';

/** Editors and builds make many changes at once; they are handled as one batch. */
const QUIET_MS = 300;

/**
 * Runs `develop.watch` until the signal aborts: copies changed files into the running replicas of their services, rebuilds or
 * restarts services. Failures are reported and watching continues.
 */
export const watchProject = async (stack: Stack, project: Project, options: WatchOptions, signal: AbortSignal): Promise<void> => {
  const rules = watchRules(project, options.services);
  if (rules.length === 0) {
    throw new HyprError('COMPOSE_INVALID', 'none of the selected services is configured for watch', {
      hint: 'say what to watch under develop.watch of a service',
    });
  }
  const work: Work = { stack, project, options, signal };
  if (rules.some(({ usesOldName }) => usesOldName)) {
    options.onNotice('x-initialSync is DEPRECATED, please use the official `initial_sync` attribute');
  }
  for (const rule of rules.filter((each) => each.initialSync && each.target !== undefined)) {
    await syncPaths(work, rule, [rule.path]);
  }
  const kinds = await Promise.all(rules.map(kindOf));
  const watching = rules.map((rule, at) => {
    const kind = kinds[at];
    return kind === undefined ? watchLater(work, rule) : watchRule(work, rule, kind === 'folder');
  });
  options.onNotice('Watch enabled');
  const failed = await Promise.race([...watching, whenAborted(signal)]);
  if (failed instanceof Error && !signal.aborted) {
    throw failed;
  }
};

interface Work {
  readonly stack: Stack;
  readonly project: Project;
  readonly options: WatchOptions;
  readonly signal: AbortSignal;
}

/** Collects changes below the path of a rule and handles them in batches. Resolves with the error that ended it. */
const watchRule = (work: Work, rule: WatchRule, isDir: boolean): Promise<Error | undefined> => {
  const { signal, options } = work;
  // A file is watched through its folder, because editors replace files.
  const folder = isDir ? rule.path : dirname(rule.path);
  const changed = new Set<string>();
  let turn = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  const handle = () => {
    const paths = [...changed];
    changed.clear();
    turn = turn.then(async () => {
      const began = performance.now();
      try {
        await handleChanges(work, rule, paths);
        options.onDebug?.(`batch complete: duration[${Math.round(performance.now() - began)}ms] count[${paths.length}]`);
      } catch (error) {
        if (!signal.aborted) {
          options.onNotice(`${rule.action} of service "${rule.service}" failed: ${messageOf(error)}`);
        }
      }
    });
  };
  return new Promise((resolve) => {
    const watcher = watch(folder, { recursive: isDir, signal }, (_kind, name) => {
      const path = name === null ? rule.path : join(folder, name);
      if ((isDir || path === rule.path) && !rule.ignores(path)) {
        changed.add(path);
        clearTimeout(timer);
        timer = setTimeout(handle, QUIET_MS);
      }
    });
    watcher.once('error', (error) => resolve(error));
    watcher.once('close', () => {
      clearTimeout(timer);
      resolve(undefined);
    });
  });
};

/** Undefined: it is not there yet. */
const kindOf = async (rule: WatchRule): Promise<'folder' | 'file' | undefined> => {
  const info = await lstat(rule.path).catch(() => undefined);
  return info === undefined ? undefined : info.isDirectory() ? 'folder' : 'file';
};

/** Watches for a path to appear, handles it as a change, and goes on from there. Resolves with the error that ended it. */
const watchLater = async (work: Work, rule: WatchRule): Promise<Error | undefined> => {
  const { signal } = work;
  try {
    for (let kind = await kindOf(rule); !signal.aborted; kind = await kindOf(rule)) {
      if (kind !== undefined) {
        await handleChanges(work, rule, [rule.path]);
        return await watchRule(work, rule, kind === 'folder');
      }
      await nextChange(await nearestFolder(dirname(rule.path)), rule.path, signal);
    }
    return undefined;
  } catch (error) {
    return signal.aborted ? undefined : toHyprError(error);
  }
};

const nearestFolder = async (path: string): Promise<string> => ((await exists(path)) ? path : nearestFolder(dirname(path)));

/** Resolves when something changes in the folder, or when the path or a folder on its way has appeared before it was watched. */
const nextChange = (folder: string, path: string, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const watcher = watch(folder, { signal }, () => watcher.close());
    watcher.once('error', reject);
    watcher.once('close', () => resolve());
    const hasChanged = async () => (await exists(path)) || (await nearestFolder(dirname(path))) !== folder;
    hasChanged().then((isOld) => (isOld ? watcher.close() : undefined), reject);
  });

const handleChanges = async (work: Work, rule: WatchRule, paths: readonly string[]): Promise<void> => {
  const { stack, project, options, signal } = work;
  const { service, action } = rule;
  const act = options.act ?? ((_name, work) => work(signal));
  if (action === 'rebuild') {
    options.onNotice(`Rebuilding service(s) ["${service}"] after changes were detected...`);
    const up = { ...options.up, services: [service], build: true, noDeps: true };
    await act(`rebuild ${service}`, (until) => stack.up(project, up, options.onEvent, until));
    options.onNotice(`service(s) ["${service}"] successfully built`);
    return;
  }
  if (action !== 'restart') {
    options.onNotice(`Syncing service "${service}" after ${paths.length} changes were detected`);
    await syncPaths(work, rule, paths);
  }
  if (action === 'restart' || action === 'sync+restart') {
    const verb = { ...VERB_DEFAULTS, services: [service], noDeps: true };
    await act(`restart ${service}`, (until) => stack.verb('restart', project, verb, options.onEvent, until));
    options.onNotice(`service(s) ["${service}"] restarted`);
  }
  if (action === 'sync+exec' && rule.exec !== undefined) {
    await runHook(work, rule, rule.exec);
  }
};

/** Syncs paths of this host to the replicas: copies those that exist, removes those that are gone. */
const syncPaths = async (work: Work, rule: WatchRule, paths: readonly string[]): Promise<void> => {
  const target = rule.target ?? '/';
  const there: Array<{ path: string; to: string }> = [];
  const gone: string[] = [];
  for (const path of paths) {
    const to = posix.join(target, ...relative(rule.path, path).split(sep));
    (await exists(path)) ? there.push({ path, to }) : gone.push(to);
  }
  for (const index of await runningOf(work.stack, rule.service)) {
    for (const { path, to } of there) {
      const isFolder = (await lstat(path)).isDirectory();
      // Into a folder that is there, a link to it included: a link is followed and not replaced.
      const isInside = isFolder && (path === rule.path || (await isFolderIn(work, { service: rule.service, index, path: to })));
      const tar = packFiles(path, {
        name: isInside ? '.' : basename(to),
        keepOwner: false,
        followLinks: false,
        leaveOut: (below) => rule.ignores(below),
      });
      await work.stack.copyTo({ service: rule.service, index, path: isInside ? to : posix.dirname(to) }, tar, work.signal);
    }
    if (gone.length > 0) {
      await execIn(work, { service: rule.service, index, args: ['rm', '-rf', '--', ...gone], user: 'root' });
    }
  }
};

/** Without `test` in the image nothing is known, and it counts as none. */
const isFolderIn = (work: Work, { service, index, path }: { service: string; index: number; path: string }): Promise<boolean> =>
  execIn(work, { service, index, args: ['test', '-d', path], user: 'root' }).then(
    (code) => code === 0,
    () => false,
  );

const runHook = async (work: Work, rule: WatchRule, hook: NonNullable<WatchRule['exec']>): Promise<void> => {
  for (const index of await runningOf(work.stack, rule.service)) {
    const code = await execIn(work, {
      service: rule.service,
      index,
      args: hook.command,
      user: hook.user,
      workdir: hook.workdir,
      onOutput: (data) => work.options.onOutput?.(rule.service, data),
      env: Object.entries(hook.environment).flatMap(([key, value]) => (value === null ? [] : [`${key}=${value}`])),
    });
    if (code !== 0) {
      throw new HyprError('SERVICE_FAILED', `${hook.command.join(' ')} ended with ${code}`);
    }
  }
};

const execIn = async (
  { stack, signal }: Work,
  run: {
    service: string;
    index: number;
    args: readonly string[];
    user?: string | undefined;
    workdir?: string | undefined;
    env?: string[];
    onOutput?: (data: Uint8Array) => void;
  },
): Promise<number> => {
  const { onOutput: _, ...options } = run;
  const session = await stack.exec({ ...EXEC_DEFAULTS, ...options }, signal);
  session.closeStdin();
  try {
    for await (const { data } of session.output) {
      run.onOutput?.(data);
    }
    return await session.exitCode;
  } finally {
    session.close();
  }
};

const runningOf = async (stack: Stack, service: string): Promise<number[]> =>
  (await stack.ps())
    .filter((replica) => replica.service === service && replica.state === 'running' && !replica.oneOff)
    .map((replica) => replica.number);

const exists = async (path: string): Promise<boolean> => {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      return false;
    }
    throw error;
  }
};
