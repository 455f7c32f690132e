import { lstat, stat } from 'node:fs/promises';
import { basename, dirname, posix, resolve } from 'node:path';
import { HyprError, isErrno } from '../../base/errors.ts';
import { absoluteNames } from '../../base/tar/rename.ts';
import type { CopyPlace, EngineApi, Stack, UnpackPlace } from '../../engine/model/types.ts';
import type { Handler } from '../core/command-spec.ts';
import type { CliContext } from '../core/context.ts';
import { onMachine } from '../core/machines.ts';
import { writeOut } from '../core/output.ts';
import { checkServices, withStack } from '../core/project.ts';
import { servicesOf } from './verbs.ts';

interface CopyFlags {
  readonly index: number | undefined;
  readonly keepOwner: boolean;
  readonly followLinks: boolean;
}

/** `cp SERVICE:PATH PATH`, `cp PATH SERVICE:PATH`, and a tar on standard input or output as `-`. Rules as docker's. */
export const runCp: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const [source, target] = [parsePlace(args[0] ?? ''), parsePlace(args[1] ?? '')];
  const options: CopyFlags = { index: flags.int('index'), keepOwner: flags.bool('archive'), followLinks: flags.bool('follow-link') };
  if ((source.service === undefined) === (target.service === undefined)) {
    throw new HyprError(
      'HYPR_USAGE',
      source.service === undefined ? 'one of the two paths must be in a service' : 'files are copied between a service and this host',
      {
        hint: 'write SERVICE:PATH for the one and a path of this host for the other',
      },
    );
  }
  const service = source.service ?? target.service ?? '';
  const copy = async (stack: Stack, named: string, index: number | undefined): Promise<number> => {
    const copying: Copying = { context, stack, engine: await context.engine(), options };
    if (source.service !== undefined) {
      // As in docker, a link with a slash after it is what it leads to.
      const followLinks = options.followLinks || /[^/]\/$/.test(source.path);
      const place = { service: named, index, path: absolute(source.path), followLinks };
      await copyOut(copying, place, target.path);
    } else {
      for (const each of await targetsOf(stack, named, index)) {
        await copyIn(copying, source.path, { service: named, index: each, path: absolute(target.path) });
      }
    }
    return 0;
  };
  const done = await onMachine(invocation, service, (stack, { status }) => copy(stack, status.service, status.number));
  if (done !== undefined) {
    return done;
  }
  return withStack(invocation, async (stack, project) => {
    checkServices([service], project ? { ...project.services, ...project.disabledServices } : await servicesOf(stack));
    return copy(stack, service, options.index);
  });
};

interface Copying {
  readonly context: CliContext;
  readonly stack: Stack;
  readonly engine: EngineApi;
  readonly options: CopyFlags;
}

/** `web:/path`; a colon after a slash or in `./a:b` is part of a path of this host. */
const parsePlace = (text: string): { readonly service: string | undefined; readonly path: string } => {
  const [, service, path] = /^([^./:][^/:]*):(.*)$/s.exec(text) ?? [];
  if (text === '' || (service !== undefined && path === '')) {
    throw new HyprError('HYPR_USAGE', 'a path is empty', { hint: 'write SERVICE:PATH' });
  }
  return service === undefined ? { service, path: text } : { service, path: path ?? '' };
};

/** Paths in a service start from its root, as docker has them. A final slash or dot keeps its meaning. */
const absolute = (path: string): string => (path.startsWith('/') ? path : `/${path}`);

/** Without --index a file goes to all running replicas. */
const targetsOf = async (stack: Stack, service: string, index: number | undefined): Promise<Array<number | undefined>> => {
  if (index !== undefined) {
    return [index];
  }
  const running = (await stack.ps()).filter((replica) => replica.service === service && replica.state === 'running' && !replica.oneOff);
  return running.length === 0 ? [undefined] : running.map((replica) => replica.number).sort((a, b) => a - b);
};

const copyOut = async ({ context, stack, engine, options }: Copying, from: CopyPlace, target: string): Promise<void> => {
  const contents = /(^|\/)\.$/.test(from.path);
  const path = posix.normalize(from.path);
  const tar = stack.copyFrom({ ...from, path: contents ? posix.join(path, '/').concat('.') : path }, context.interrupts.signal);
  if (target === '-') {
    if (context.stdout.isTTY) {
      throw new HyprError('HYPR_USAGE', 'an archive is not written to a terminal', { hint: 'redirect the output: … - > files.tar' });
    }
    for await (const chunk of path === '/' && !contents ? absoluteNames(tar) : tar) {
      await writeOut(context.stdout, chunk);
    }
    return;
  }
  const skipped = await engine.unpackFiles(tar, {
    keepOwner: options.keepOwner,
    place: (kind) =>
      localPlace({ kind, target, cwd: context.cwd, name: contents ? '.' : posix.basename(posix.normalize(from.path)) || '.' }),
  });
  if (skipped > 0) {
    context.stderr.write(`warning: ${skipped} devices, sockets or pipes were not copied\n`);
  }
};

/** docker's rules: into the target if it is a folder, else to the exact name if its parent folder exists. */
const localPlace = async (input: { kind: 'dir' | 'file'; target: string; cwd: string; name: string }): Promise<UnpackPlace> => {
  const { kind, target, cwd, name } = input;
  const path = resolve(cwd, target);
  const info = await stat(path).catch(goneIsNothing);
  if (info?.isDirectory()) {
    return { root: path, name };
  }
  if (info !== undefined && (kind === 'dir' || target.endsWith('/'))) {
    throw new HyprError('HYPR_USAGE', kind === 'dir' ? `cannot copy a folder over the file ${target}` : `${target} is not a folder`);
  }
  if (info === undefined && kind === 'file' && target.endsWith('/')) {
    throw new HyprError('HYPR_USAGE', `there is no folder ${target}`);
  }
  if ((await stat(dirname(path)).catch(goneIsNothing))?.isDirectory() !== true) {
    throw new HyprError('HYPR_USAGE', `there is no folder ${dirname(path)}`);
  }
  return { root: dirname(path), name: basename(path) };
};

const copyIn = async ({ context, stack, engine, options }: Copying, source: string, to: CopyPlace): Promise<void> => {
  const { signal } = context.interrupts;
  const statRemote = (path: string): Promise<'dir' | 'file' | undefined> =>
    engine.statTar(stack.copyFrom({ ...to, path, followLinks: true }, signal));
  const there = await statRemote(posix.normalize(to.path));
  if (source === '-') {
    if (there !== 'dir') {
      throw new HyprError('HYPR_USAGE', `${to.path} is no folder of ${to.service}: an archive is unpacked in one that exists`);
    }
    await stack.copyTo(to, context.stdin as AsyncIterable<Uint8Array>, signal);
    return;
  }
  const path = resolve(context.cwd, source);
  const info = await (options.followLinks ? stat(path) : lstat(path)).catch(goneIsNothing);
  if (info === undefined) {
    throw new HyprError('HYPR_USAGE', `there is no file ${source}`);
  }
  const place = await remotePlace({
    there,
    to,
    isDir: info.isDirectory(),
    name: /(^|\/)\.$/.test(source) ? '.' : basename(path),
    statRemote,
  });
  const tar = engine.packFiles(path, { name: place.name, keepOwner: options.keepOwner, followLinks: options.followLinks });
  await stack.copyTo({ ...to, path: place.root }, tar, signal);
};

const remotePlace = async (input: {
  there: 'dir' | 'file' | undefined;
  to: CopyPlace;
  isDir: boolean;
  name: string;
  statRemote: (path: string) => Promise<'dir' | 'file' | undefined>;
}): Promise<UnpackPlace> => {
  const { there, to, isDir, name } = input;
  const path = posix.normalize(to.path).replace(/(.)\/$/, '$1');
  if (there === 'dir') {
    return { root: path, name };
  }
  if (there === 'file' && (isDir || to.path.endsWith('/'))) {
    throw new HyprError('HYPR_USAGE', isDir ? `cannot copy a folder over the file ${to.path}` : `${to.path} is not a folder`);
  }
  if (there === undefined && !isDir && to.path.endsWith('/')) {
    throw new HyprError('HYPR_USAGE', `there is no folder ${to.path} in ${to.service}`);
  }
  const root = posix.dirname(path);
  if ((await input.statRemote(root)) !== 'dir') {
    throw new HyprError('HYPR_USAGE', `there is no folder ${root} in ${to.service}`);
  }
  return { root, name: posix.basename(path) };
};

const goneIsNothing = (error: unknown): undefined => {
  if (isErrno(error, 'ENOENT')) {
    return undefined;
  }
  throw error;
};
