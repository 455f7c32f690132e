import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type { TreeEntry } from '../../../builder/context/tree.ts';
import { indexTar, LayerTree } from '../../../builder/solver/layer/layer-tree.ts';

/** What of an image can be compared: its files as lines, its config and history without what differs from build to build. */
export interface ReadImage {
  readonly files: ReadonlyMap<string, string>;
  readonly config: Readonly<Record<string, unknown>>;
  readonly history: readonly string[];
}

/** Reads an archive of `docker save`. `since`: seconds; later times, and 1980's, are those of what the build made. */
export const readImage = async (archive: string, folder: string, since: number): Promise<ReadImage> => {
  await mkdir(folder, { recursive: true });
  await run('tar', ['-xf', archive, '-C', folder]);
  const [manifest] = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as Array<{ Config: string; Layers: string[] }>;
  if (manifest === undefined) {
    throw new Error(`${archive} holds no image`);
  }
  let tree = LayerTree.empty;
  for (const layer of manifest.Layers) {
    tree = tree.withLayer(await indexTar(await inflated(join(folder, layer))));
  }
  const { history = [], ...config } = JSON.parse(await readFile(join(folder, manifest.Config), 'utf8')) as Config;
  const image = { files: await listFiles(tree, since), config: plainConfig(config), history: history.map(plainHistory) };
  await rm(folder, { recursive: true, force: true });
  return image;
};

interface Config {
  readonly history?: ReadonlyArray<Record<string, unknown>>;
  readonly [key: string]: unknown;
}

const plainConfig = ({ created, rootfs, 'moby.buildkit.buildinfo.v1': info, ...rest }: Config): Record<string, unknown> => rest;

const plainHistory = ({ created, ...rest }: Record<string, unknown>): string => JSON.stringify(rest, Object.keys(rest).sort());

const inflated = async (path: string): Promise<string> => {
  const file = await open(path, 'r');
  const { buffer } = await file.read(Buffer.alloc(2), 0, 2, 0);
  await file.close();
  if (buffer.readUInt16BE(0) !== 0x1f8b) {
    return path;
  }
  await pipeline(createReadStream(path), createGunzip(), createWriteStream(`${path}.tar`));
  return `${path}.tar`;
};

const listFiles = async (tree: LayerTree, since: number): Promise<Map<string, string>> => {
  const lines = new Map<string, string>();
  const groups = new Map<object, string>();
  const visit = async (path: string): Promise<void> => {
    for (const name of tree.list(path)) {
      const child = path === '' ? name : `${path}/${name}`;
      const entry = tree.get(child);
      if (entry === undefined) {
        continue;
      }
      const first = groups.get(entry.identity) ?? child;
      groups.set(entry.identity, first);
      lines.set(child, await lineOf(tree, entry, { since, twin: first === child ? '' : ` = ${first}` }));
      if (entry.type === 'dir') {
        await visit(child);
      }
    }
  };
  await visit('');
  return lines;
};

const lineOf = async (tree: LayerTree, entry: TreeEntry, { since, twin }: { since: number; twin: string }): Promise<string> => {
  const { type, mode, uid, gid, size, link, deviceMajor, deviceMinor, xattrs, mtime } = entry;
  const shown = type === 'symlink' ? link : type === 'file' ? `${size} ${size === 0 ? '' : (await tree.digest(entry)).slice(0, 12)}` : '';
  const device = type === 'char' || type === 'block' ? ` ${deviceMajor}:${deviceMinor}` : '';
  const attributes = [...xattrs].map(([name, value]) => ` ${name}=${value.toString('hex')}`).sort();
  const time = mtime >= since || mtime === NEUTRAL ? 'made' : String(mtime);
  // A link's own permissions mean nothing.
  const bits = type === 'symlink' ? '' : mode.toString(8).padStart(4, '0');
  return `${type} ${bits} ${uid}:${gid} ${time} ${shown}${device}${attributes.join('')}${twin}`;
};

/** 1980-01-02: what hypr itself makes is dated so that rebuilding gives the same. */
const NEUTRAL = 315_619_200;

/** Runs a program to its end. Throws with what it wrote to standard error. */
export const run = async (file: string, args: readonly string[], options: { readonly cwd?: string } = {}): Promise<string> => {
  const child = spawn(file, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const parts: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout.on('data', (data: Buffer) => parts.push(data));
  child.stderr.on('data', (data: Buffer) => errors.push(data));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) {
    throw new Error(Buffer.concat([...errors, ...parts]).toString());
  }
  return Buffer.concat(parts).toString();
};
