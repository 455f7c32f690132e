import { type FileHandle, open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { HyprError, isErrno } from '../../base/errors.ts';
import type { CopyPlace, ReplicaDetail, Stack } from '../../engine/model/types.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import { openStack } from '../core/project.ts';
import { refuseTerminal, writeArchive } from './write-archive.ts';

/** `volume export`: what a volume holds as a tar, through a replica that runs and has it, so that it may be in use. */
export const runVolumeExport: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const output = flags.string('output');
  refuseTerminal(context, output);
  await withVolume(invocation, args[0] ?? '', (stack, place) =>
    // With its dot the entries begin with "./", as those of `tar -C FOLDER .`.
    writeArchive(context, stack.copyFrom({ ...place, path: `${place.path}/.` }, context.interrupts.signal), output),
  );
  return 0;
};

/** `volume import`: unpacks a tar into a volume, beside what it holds. */
export const runVolumeImport: Handler = async (invocation) => {
  const { context, args } = invocation;
  const [name = '', file = '-'] = args;
  if (file === '-' && context.stdin.isTTY) {
    throw new HyprError('HYPR_USAGE', 'an archive is not read from a terminal', { hint: `hypr volume import ${name} FILE` });
  }
  const archive = file === '-' ? undefined : await openArchive(resolve(context.cwd, file));
  try {
    const tar = (archive?.createReadStream({ autoClose: false }) ?? context.stdin) as AsyncIterable<Uint8Array>;
    await withVolume(invocation, name, (stack, place) => stack.copyTo({ ...place, durable: true }, tar, context.interrupts.signal));
  } finally {
    await archive?.close();
  }
  return 0;
};

/** Throws NOT_FOUND, HYPR_PERMISSION or HYPR_USAGE with the name of a file that is none to read. */
const openArchive = async (path: string): Promise<FileHandle> => {
  const archive = await open(path).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      throw new HyprError('NOT_FOUND', `there is no file ${path}`);
    }
    if (isErrno(error, 'EACCES', 'EPERM')) {
      throw new HyprError('HYPR_PERMISSION', `no permission to read ${path}`, { cause: error });
    }
    throw error;
  });
  if ((await archive.stat()).isDirectory()) {
    await archive.close();
    throw new HyprError('HYPR_USAGE', `${path} is a folder, not an archive`, { hint: `pack it first: tar -C ${path} -c . -f FILE` });
  }
  return archive;
};

const withVolume = async (invocation: Invocation, name: string, work: (stack: Stack, place: CopyPlace) => Promise<void>): Promise<void> => {
  const objects = await (await invocation.context.engine()).openObjects();
  const volume = objects.volumes().find((candidate) => candidate.name === name);
  if (volume === undefined) {
    throw new HyprError('NOT_FOUND', `there is no volume ${name}`, { hint: 'see: hypr volume ls' });
  }
  const user = placeOfVolume(name, objects.replicas());
  if (user === undefined) {
    throw new HyprError('STACK_NOT_RUNNING', `nothing that runs has the whole of the volume ${name} mounted`, {
      hint:
        volume.stack === ''
          ? `a machine that has it: hypr run -d --name keeper -v ${name}:/volume busybox sleep 1d`
          : `start a service that has it: hypr -p ${volume.stack} start`,
    });
  }
  await openStack(invocation, user.stack, (stack) => work(stack, user.place));
};

/**
 * Where a volume can be read and written: a running replica of a service (a writable mount first) that has all of it, with nothing
 * else mounted below.
 */
export const placeOfVolume = (
  volume: string,
  replicas: readonly ReplicaDetail[],
): { readonly stack: string; readonly place: CopyPlace } | undefined => {
  const places = replicas
    .filter(({ status }) => status.state === 'running' && !status.oneOff)
    .flatMap(({ stack, status, spec }) =>
      spec.mounts.flatMap((mount) => {
        const target = mount.target.replace(/(.)\/+$/, '$1');
        const isWhole = mount.kind === 'volume' && mount.volume === volume && mount.subpath === undefined;
        const others = [
          ...spec.mounts.filter((other) => other !== mount).map((other) => other.target),
          ...spec.files.map(({ path }) => path),
        ];
        const isCovered = others.some((other) => `${other}/`.startsWith(`${target}/`));
        return isWhole && !isCovered
          ? [{ readOnly: mount.readOnly, found: { stack, place: { service: status.service, index: status.number, path: target } } }]
          : [];
      }),
    );
  return (places.find(({ readOnly }) => !readOnly) ?? places[0])?.found;
};
