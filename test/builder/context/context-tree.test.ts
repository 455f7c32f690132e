import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { encodeName } from '../../../base/odd-names.ts';
import { CONTEXT_CHANGED } from '../../../builder/context/context-errors.ts';
import { ContextTree } from '../../../builder/context/context-tree.ts';
import { HashCache } from '../../../builder/context/hash-cache.ts';
import { parseIgnoreFile } from '../../../builder/context/ignore.ts';
import { compareBytes, findEntry, resolvePath, type TreeEntry } from '../../../builder/context/tree.ts';
import { runs } from '../../support/seed.ts';

let folder: string;
let root: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hypr-context-'));
  root = join(folder, 'root');
  mkdirSync(root);
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true, force: true });
});

const open = async (ignore = '') => {
  const hashes = await HashCache.open(join(folder, 'build'), root);
  return { hashes, tree: new ContextTree(root, parseIgnoreFile(ignore, '.dockerignore'), hashes) };
};
const entryOf = (tree: ContextTree, path: string): TreeEntry => tree.get(path) ?? expect.unreachable(path);

describe('names', () => {
  it('sort by their bytes in UTF-8', () => {
    const name = fc.string({
      unit: fc.constantFrom('a', 'b', '/', '\x7f', '\xe9', '\u07ff', '\ud7ff', '\ue000', '\uffff', '😀', '😁'),
      maxLength: 4,
    });
    fc.assert(
      fc.property(name, name, (a, b) => {
        expect(Math.sign(compareBytes(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
      runs(2000),
    );
  });
});

describe('a context', () => {
  it('is a sorted tree without sockets and ignored files, owned by root', async () => {
    execFileSync(
      'sh',
      [
        '-c',
        'mkdir -p b a/x; echo hi > a/f; ln -s /etc/passwd b/out; mkfifo pipe; echo no > skip; chmod 4755 a/f; python3 -c "import socket; socket.socket(socket.AF_UNIX).bind(\'sock\')"',
      ],
      { cwd: root },
    );
    const { tree } = await open('skip');
    expect(tree.list('')).toEqual(['a', 'b', 'pipe']);
    expect(tree.list('a')).toEqual(['f', 'x']);
    expect(tree.get('a/f')).toMatchObject({ type: 'file', mode: 0o4755, uid: 0, gid: 0, size: 3 });
    expect(tree.get('b/out')).toMatchObject({ type: 'symlink', link: '/etc/passwd' });
    expect(tree.get('b/out/x')).toBeUndefined();
    expect(tree.isIgnored('skip')).toBe(true);
    expect(tree.isIgnored('nothing')).toBe(false);
  });

  it('shows an excluded folder only for what is brought back in it', async () => {
    execFileSync('sh', ['-c', 'mkdir -p d/e f; touch d/e/keep d/e/no d/no f/no'], { cwd: root });
    const { tree } = await open('*\n!d/e/keep');
    expect(tree.list('')).toEqual(['d']);
    expect(tree.list('d')).toEqual(['e']);
    expect(tree.list('d/e')).toEqual(['keep']);
  });

  it('resolves symlinks inside itself', async () => {
    execFileSync(
      'sh',
      ['-c', 'mkdir -p d etc; echo x > etc/f; ln -s /etc d/abs; ln -s ../../../../etc d/up; ln -s loop loop; ln -s d/abs/f file'],
      { cwd: root },
    );
    const { tree } = await open();
    expect(resolvePath(tree, 'd/abs/f')).toBe('etc/f');
    expect(resolvePath(tree, '/d/up/../etc/f')).toBe('etc/f');
    expect(resolvePath(tree, 'file', false)).toBe('file');
    expect(findEntry(tree, 'file')?.path).toBe('etc/f');
    expect(resolvePath(tree, 'loop')).toBeUndefined();
  });

  it('says when a file shrinks or goes while it is read', async () => {
    writeFileSync(join(root, 'f'), 'long content');
    const { tree } = await open();
    const entry = entryOf(tree, 'f');
    writeFileSync(join(root, 'f'), 'short');
    await expect(tree.digest(entry)).rejects.toThrow('changed while it was being read');
    rmSync(join(root, 'f'));
    symlinkSync('/etc/passwd', join(root, 'f'));
    await expect(tree.digest(entry)).rejects.toThrow('changed while it was being read');
  });
});

describe('a file that changes', () => {
  const readAll = async (tree: ContextTree, entry: TreeEntry): Promise<string> => {
    const parts: Uint8Array[] = [];
    for await (const part of tree.read(entry)) {
      parts.push(part);
    }
    return Buffer.concat(parts).toString();
  };

  it.each([10, 100_000])('is not read as what it was, also where its size and time are the same (%d bytes)', async (size) => {
    const path = join(root, 'f');
    writeFileSync(path, 'x'.repeat(size));
    utimesSync(path, 1, 1);
    const { tree } = await open();
    const entry = entryOf(tree, 'f');
    await tree.digest(entry);
    writeFileSync(path, 'y'.repeat(size));
    utimesSync(path, 1, 1);
    const refused = { code: 'BUILD_FAILED', reason: CONTEXT_CHANGED };
    await expect(readAll(tree, entry)).rejects.toMatchObject(refused);
    expect(() => tree.readSmall(entry, Buffer.alloc(size))).toThrow(expect.objectContaining(refused));
    await expect(tree.digest(entry)).rejects.toMatchObject(refused);
  });

  it.each([10, 100_000])('is a copy once the tree was renewed, which keeps what was hashed (%d bytes)', async (size) => {
    const path = join(root, 'f');
    writeFileSync(path, 'x'.repeat(size));
    writeFileSync(join(root, 'still'), 'still');
    const { tree } = await open();
    entryOf(tree, 'f');
    const still = entryOf(tree, 'still');
    writeFileSync(path, 'y'.repeat(size));
    tree.renew(false);
    const entry = entryOf(tree, 'f');
    const digest = await tree.digest(entry);
    expect(digest).toBe(createHash('sha256').update('y'.repeat(size)).digest('hex'));
    writeFileSync(path, 'z');
    expect(await readAll(tree, entry)).toBe('y'.repeat(size));
    expect(tree.readSmall(entry, Buffer.alloc(size)).toString()).toBe('y'.repeat(size));
    expect(await readAll(tree, still)).toBe('still');
    const copies = () => readdirSync(join(folder, 'build', 'tmp'));
    expect(copies()).toHaveLength(1);
    await tree.close();
    expect(copies()).toEqual([]);
  });
});

describe('hashes', () => {
  it('are remembered for files that have settled, and forgotten with their stamp', async () => {
    const file = join(root, 'a file');
    writeFileSync(file, 'one');
    vi.useFakeTimers({ now: statSync(file).ctimeMs + 10_000, toFake: ['Date'] });
    const first = await open();
    const digest = await first.tree.digest(entryOf(first.tree, 'a file'));
    await first.hashes.save();

    const second = await open();
    const read = vi.spyOn(second.tree, 'readSmall');
    expect(await second.tree.digest(entryOf(second.tree, 'a file'))).toBe(digest);
    expect(read).not.toHaveBeenCalled();

    writeFileSync(file, 'two');
    utimesSync(file, 1, 1);
    const third = await open();
    expect(await third.tree.digest(entryOf(third.tree, 'a file'))).not.toBe(digest);
  });

  it('are the same of small and of large files, and none of what changed under way', async () => {
    const { tree } = await open();
    for (const size of [0, 1, 64 * 1024, 64 * 1024 + 1]) {
      writeFileSync(join(root, `f${size}`), Buffer.alloc(size, 'x'));
      const digest = createHash('sha256').update(Buffer.alloc(size, 'x')).digest('hex');
      expect(await tree.digest(entryOf(tree, `f${size}`))).toBe(digest);
    }
    for (const size of [10, 100_000]) {
      const path = join(root, `gone${size}`);
      writeFileSync(path, Buffer.alloc(size));
      const entry = entryOf(tree, `gone${size}`);
      writeFileSync(path, Buffer.alloc(size - 1));
      await expect(tree.digest(entry)).rejects.toMatchObject({ code: 'BUILD_FAILED', message: `${path} changed while it was being read` });
      rmSync(path);
      symlinkSync('/etc/passwd', path);
      await expect(tree.digest(entry)).rejects.toMatchObject({ code: 'BUILD_FAILED' });
    }
  });

  it('are kept for every name, those that are not UTF-8 too, beside lines that something else wrote', async () => {
    const names = ['plain', 'a b%', 'x\n', '"q"', 'odd\udcff', 'odd%\udc80 "'];
    for (const name of names) {
      writeFileSync(Buffer.concat([Buffer.from(`${root}/`), encodeName(name)]), name.length.toString());
    }
    vi.useFakeTimers({ now: Date.now() + 10_000, toFake: ['Date'] });
    const first = await open();
    const digests = await Promise.all(names.map((name) => first.tree.digest(entryOf(first.tree, name))));
    await first.hashes.save();
    const [file = ''] = readdirSync(join(folder, 'build', 'hashes'));
    appendFileSync(join(folder, 'build', 'hashes', file), `${'0'.repeat(64)} 1:1:1:1 %FF\n${'0'.repeat(64)} 1:1:1:1 "\n`);

    const second = await open();
    const read = vi.spyOn(second.tree, 'readSmall');
    expect(await Promise.all(names.map((name) => second.tree.digest(entryOf(second.tree, name))))).toEqual(digests);
    expect(read).not.toHaveBeenCalled();
  });

  it('of files just written are not trusted', async () => {
    const file = join(root, 'f');
    writeFileSync(file, 'one');
    vi.useFakeTimers({ now: statSync(file).ctimeMs + 100, toFake: ['Date'] });
    const first = await open();
    await first.tree.digest(entryOf(first.tree, 'f'));
    await first.hashes.save();
    const second = await open();
    const read = vi.spyOn(second.tree, 'readSmall');
    await second.tree.digest(entryOf(second.tree, 'f'));
    expect(read).toHaveBeenCalledOnce();
  });
});
