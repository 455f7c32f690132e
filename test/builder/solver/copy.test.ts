import { execFileSync } from 'node:child_process';
import { chmodSync, linkSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PLAIN_FILE } from '../../../base/tar/header.ts';
import { show, thrown, Workshop } from './workshop.ts';

let shop: Workshop;
beforeEach(() => {
  shop = new Workshop();
});
afterEach(() => shop.close());

const build = async (...lines: string[]) => {
  const { tree } = await shop.build(['FROM scratch', ...lines].join('\n'));
  return await show(tree);
};

describe('COPY places files', () => {
  it('to a file, to a folder, relative to WORKDIR', async () => {
    shop.file('foo', 'foo');
    expect(await build('COPY foo /foo2', 'COPY foo /', 'WORKDIR /a/b', 'COPY foo ./', 'COPY foo ../c', 'WORKDIR d', 'COPY foo x/')).toEqual(
      {
        foo: 'foo',
        foo2: 'foo',
        'a/b/foo': 'foo',
        'a/c': 'foo',
        'a/b/d/x/foo': 'foo',
      },
    );
  });

  it('by patterns, and takes the content of folders', async () => {
    shop.file('foo.go', 'foo');
    shop.file('bar.go', 'bar');
    shop.file('sub/dir2/foo', 'sub');
    expect(
      await build(
        'COPY *.go /gofiles/',
        'COPY f*.go foo2.go',
        'COPY sub/* /subdest/',
        'COPY sub/*/dir2/foo /none/',
        'COPY sub/*/foo /all/',
        'COPY sub /s',
        'COPY sub/. /t',
      ),
    ).toEqual({
      'gofiles/foo.go': 'foo',
      'gofiles/bar.go': 'bar',
      'foo2.go': 'foo',
      'subdest/foo': 'sub',
      'all/foo': 'sub',
      's/dir2/foo': 'sub',
      't/dir2/foo': 'sub',
    });
  });

  it('accepts a pattern without a match beside a match, and none at all', async () => {
    shop.file('foo', 'x');
    expect(await build('COPY foo nomatch* /', 'COPY nothing* /y/')).toEqual({ foo: 'x' });
  });

  it('refuses a missing literal, says so when it is ignored, and where', async () => {
    shop.file('.dockerignore', 'secret\n');
    shop.file('secret');
    const missing = await thrown(shop.build('FROM scratch\nCOPY nope /\n'));
    expect(missing).toMatchObject({ code: 'BUILD_FAILED', message: '"/nope": not found', where: { file: 'Dockerfile', line: 2 } });
    const ignored = await thrown(shop.build('FROM scratch\n\nCOPY secret /\n'));
    expect(ignored.message).toBe('"/secret": not found: it is there, but excluded by .dockerignore');
    expect(ignored.where?.line).toBe(3);
  });

  it('merges folders and overrides files', async () => {
    shop.file('sub/dir1/dir2/foo', '1');
    shop.file('sub/dir1/dir2/bar', '2');
    shop.file('files/foo.go', 'new');
    expect(await build('COPY sub /', 'COPY sub /', 'COPY files/foo.go /dir1/dir2/foo', 'COPY files /dir1')).toEqual({
      'dir1/dir2/foo': 'new',
      'dir1/dir2/bar': '2',
      'dir1/foo.go': 'new',
    });
  });

  it('with empty and slashed targets', async () => {
    shop.file('testfile', 'content0');
    expect(await build('ENV empty=""', 'WORKDIR /test', 'COPY testfile $empty', 'COPY testfile /sample/')).toEqual({
      'test/testfile': 'content0',
      'sample/testfile': 'content0',
    });
  });

  it('with unusual names', async () => {
    for (const name of ['test-äöü.txt', 'test-%C3%A4.txt', 'test+aou.txt', 'ünï/ñ', 'a b']) {
      shop.file(name, name);
    }
    expect(
      await build('COPY test-äöü.txt /', 'COPY test-%C3%A4.txt /', 'COPY test+aou.txt /', 'COPY ünï /u', 'COPY ["a b", "/c d"]'),
    ).toEqual({
      'test-äöü.txt': 'test-äöü.txt',
      'test-%C3%A4.txt': 'test-%C3%A4.txt',
      'test+aou.txt': 'test+aou.txt',
      'u/ñ': 'ünï/ñ',
      'c d': 'a b',
    });
  });

  it('with names, folders and links that are not UTF-8, byte for byte, as BuildKit', async () => {
    const bytes = (text: string) => Buffer.from(`${shop.context}/${text}`, 'latin1');
    mkdirSync(bytes('d\xe9'));
    writeFileSync(bytes('d\xe9/caf\xe9'), 'x');
    writeFileSync(bytes('d\xe9/large\xff'), 'y'.repeat(200_000));
    symlinkSync(Buffer.from('caf\xe9', 'latin1'), bytes('d\xe9/link\xfe'));
    shop.file('plain');
    const { blob } = await shop.build('FROM scratch AS a\nCOPY . /in/\nFROM scratch\nCOPY --from=a /in /\n');
    const out = join(shop.folder, 'out');
    mkdirSync(out);
    execFileSync('tar', ['-xf', shop.store.layerTar(blob.rootfs.diff_ids[0] ?? ''), '-C', out]);
    const names = execFileSync('find', ['.', '-mindepth', '1', '-printf', '%p %l %s\n'], { cwd: out, encoding: 'latin1' });
    expect(names.trim().split('\n').sort()).toEqual([
      expect.stringMatching(/^\.\/d\xe9 {2}\d+$/),
      './d\xe9/caf\xe9  1',
      './d\xe9/large\xff  200000',
      './d\xe9/link\xfe caf\xe9 4',
      './plain  5',
    ]);
    shop.file('.dockerignore', 'd*\n');
    expect(Object.keys(await show((await shop.build('FROM scratch\nCOPY . /\n')).tree))).toEqual(['.dockerignore', 'plain']);
  });

  it('refuses a name that means a deletion in a layer, unless it is ignored', async () => {
    shop.file('d/.wh.gone', 'x');
    const error = await thrown(shop.build('FROM scratch\nCOPY . /\n'));
    expect([error.code, error.message, error.where?.line]).toEqual(['BUILD_FAILED', expect.stringContaining('/d/.wh.gone'), 2]);
    shop.file('.dockerignore', '**/.wh.*\n');
    expect(Object.keys(await show((await shop.build('FROM scratch\nCOPY . /\n')).tree))).toEqual(['.dockerignore', 'd/']);
  });

  it('never from outside the context', async () => {
    shop.file('etc/passwd', 'mine');
    shop.link('up', '../../../../etc');
    shop.link('abs', '/etc/passwd');
    expect(await build('COPY ../../etc/passwd /a', 'COPY up/passwd /b', 'COPY abs /c')).toEqual({ a: 'mine', b: 'mine', c: 'mine' });
    expect((await thrown(shop.build('FROM scratch\nCOPY up/shadow /\n'))).message).toContain('not found');
  });

  it.each([
    ['COPY m/a m/b /o', { o: '2' }],
    ['COPY m/[ab] /o', { o: '2' }],
    ['COPY m/a* m/b* /o', { o: '2' }],
    ['WORKDIR /o\nCOPY m/a m/b .', { 'o/a': '1', 'o/b': '2' }],
    ['COPY m m/x /o', { 'o/a': '1', 'o/b': '2', 'o/c': '3', 'o/x/c': '3' }],
  ])('%s: of several files with one name the last stays, as in BuildKit', async (lines, files) => {
    for (const [name, text] of Object.entries({ a: '1', b: '2', 'x/c': '3' })) {
      shop.file(`m/${name}`, text);
    }
    expect(await build(lines)).toEqual(files);
    expect((await thrown(shop.build('FROM scratch\nCOPY m/? /o\n'))).message).toBe('cannot copy to non-directory: /o');
  });
});

describe('COPY and symlinks', () => {
  it('follows sources, keeps those inside folders', async () => {
    shop.file('bar', 'bar');
    shop.file('sub/dir/deep', 'deep');
    shop.link('foo', 'bar');
    shop.link('sub/link', 'dir/deep');
    shop.link('dir', 'sub');
    expect(await build('COPY foo /f', 'COPY fo* /g/', 'COPY dir/dir/deep /', 'COPY dir /s', 'COPY sub/link /l')).toEqual({
      f: 'bar',
      'g/foo': 'bar',
      deep: 'deep',
      's/dir/deep': 'deep',
      's/link': '@dir/deep',
      l: 'deep',
    });
  });

  it('follows those of the target inside the root', async () => {
    shop.file('foo', 'x');
    await shop.image('links', { 'tmp/real/keep': '', 'etc/passwd': '' }, {}, [
      {
        path: 'out',
        attributes: {
          type: 'symlink',
          mode: 0o777,
          uid: 0,
          gid: 0,
          size: 0,
          mtime: 0,
          link: '../../../tmp/real',
          deviceMajor: 0,
          deviceMinor: 0,
          xattrs: new Map(),
        },
      },
    ]);
    const { tree } = await shop.build('FROM links\nCOPY foo /out/\nCOPY foo /out/deeper/file\n');
    expect(tree.get('out')?.type).toBe('symlink');
    expect(await show(tree, 'tmp')).toEqual({ 'tmp/real/keep': '', 'tmp/real/foo': 'x', 'tmp/real/deeper/file': 'x' });
  });

  it('does not look at the root with --link', async () => {
    shop.file('f', 'x');
    expect(await build('WORKDIR /w', 'COPY --link f .', 'COPY --link f /deep/er/')).toEqual({ 'w/f': 'x', 'deep/er/f': 'x' });
  });
});

describe('COPY and attributes', () => {
  const owners = async (lines: string[], paths: string[]) => {
    await shop.busybox();
    const { tree } = await shop.build(['FROM busybox', ...lines].join('\n'));
    return paths.map((path) => {
      const entry = tree.get(path);
      return `${path} ${entry?.uid}:${entry?.gid} ${entry?.mode.toString(8)}`;
    });
  };

  it('--chown by number, name and variable', async () => {
    shop.file('foo');
    shop.file('d/sub/x');
    const lines = [
      'ARG owner=daemon',
      'ENV group=1',
      'COPY --chown=daemon foo /a',
      'COPY --chown=1000:nobody foo /b',
      'COPY --chown=${owner}:${group} foo /c',
      'COPY --chown=7 d /new/dir',
      'COPY foo /e',
    ];
    expect(await owners(lines, ['a', 'b', 'c', 'new', 'new/dir', 'new/dir/sub', 'new/dir/sub/x', 'e'])).toEqual([
      'a 1:2 644',
      'b 1000:65534 644',
      'c 1:1 644',
      'new 7:7 755',
      'new/dir 7:7 755',
      'new/dir/sub 7:7 755',
      'new/dir/sub/x 7:7 644',
      'e 0:0 644',
    ]);
  });

  it('--chown keeps the owner of a folder that is there', async () => {
    shop.file('d/x');
    expect(await owners(['COPY --chown=9 d /tmp', 'COPY --chown=8 d /tmp/new/'], ['tmp', 'tmp/x', 'tmp/new', 'tmp/new/x'])).toEqual([
      'tmp 0:0 755',
      'tmp/x 9:9 644',
      'tmp/new 8:8 755',
      'tmp/new/x 8:8 644',
    ]);
  });

  it('--chown of an unknown name', async () => {
    await shop.busybox();
    shop.file('foo');
    const error = await thrown(shop.build('FROM busybox\nCOPY --chown=ghost foo /\n'));
    expect(error.message).toBe("can't find uid for user ghost: no such user: ghost");
  });

  it('--chown of a name is root where there is no file of names at all, as with BuildKit 0.13', async () => {
    shop.file('foo');
    await shop.image('nogroup', { 'etc/passwd': 'app:x:7:8::/:/bin/sh\n' });
    const { tree } = await shop.build('FROM scratch\nCOPY --chown=ghost:ghosts foo /a\nCOPY --chown=5:ghosts foo /b\n');
    expect(['a', 'b'].map((path) => [tree.get(path)?.uid, tree.get(path)?.gid])).toEqual([
      [0, 0],
      [5, 0],
    ]);
    const other = (await shop.build('FROM nogroup\nCOPY --chown=app:ghosts foo /c\nCOPY --chown=app foo /d\n')).tree;
    expect(['c', 'd'].map((path) => [other.get(path)?.uid, other.get(path)?.gid])).toEqual([
      [7, 0],
      [7, 8],
    ]);
  });

  it('--chmod, octal and symbolic', async () => {
    shop.file('foo', 'x', 0o600);
    shop.file('run', 'x', 0o700);
    shop.file('d/f', 'x', 0o600);
    const lines = [
      'ARG m=755',
      'COPY --chmod=0644 foo /a',
      'COPY --chmod=${m} foo /b',
      'COPY --chmod=0 foo /c',
      'COPY --chmod=u=rwX,go=rX foo run /d/',
      'COPY --chmod=a+X d /e',
      'COPY --chmod=4711 foo /p/f',
    ];
    expect(await owners(lines, ['a', 'b', 'c', 'd/foo', 'd/run', 'e/f', 'p', 'p/f'])).toEqual([
      'a 0:0 644',
      'b 0:0 755',
      'c 0:0 0',
      'd/foo 0:0 644',
      'd/run 0:0 755',
      'e/f 0:0 600',
      'p 0:0 755',
      'p/f 0:0 4711',
    ]);
    for (const mode of ['64a', '10000']) {
      expect((await thrown(shop.build(`FROM scratch\nCOPY --chmod=${mode} foo /\n`))).message).toBe(
        `invalid chmod parameter: '${mode}'. it should be octal string and between 0 and 07777`,
      );
    }
  });

  it('keeps times, takes the owner away', async () => {
    shop.file('foo');
    const { tree } = await shop.build('FROM scratch\nCOPY foo /\n');
    expect(tree.get('foo')).toMatchObject({ mtime: 1_600_000_000, uid: 0, gid: 0, mode: 0o644 });
  });
});

describe('COPY as docker 26.1 with BuildKit 0.13 does it', () => {
  const times = (tree: Awaited<ReturnType<Workshop['build']>>['tree'], paths: string[]) => paths.map((path) => tree.get(path)?.mtime);

  it('the folder that a folder is copied to has the time of that one, and its own mode and owner', async () => {
    shop.file('src/sub/f');
    chmodSync(join(shop.context, 'src'), 0o700);
    utimesSync(join(shop.context, 'src'), 1_100_000_000, 1_100_000_000);
    const { tree } = await shop.build(
      'FROM scratch\nCOPY --chmod=0711 src /made\nCOPY src/. /dot\nCOPY --chown=5:6 --chmod=0750 src /deep/er/\nCOPY src /made\nADD src /add\nCOPY --link src /link\nCOPY . /all\n',
    );
    const targets = ['made', 'dot', 'deep/er', 'add', 'link'];
    expect(times(tree, targets)).toEqual(targets.map(() => 1_100_000_000));
    expect(targets.map((path) => tree.get(path)?.mode)).toEqual(targets.map(() => 0o755));
    expect([tree.get('deep/er')?.uid, tree.get('deep')?.mtime, tree.get('all')?.mtime, tree.get('all/src')?.mode]).toEqual([
      5, 315_619_200, 315_619_200, 0o700,
    ]);
  });

  it('hard links of the context stay links within one source', async () => {
    shop.file('d/one', 'x');
    linkSync(join(shop.context, 'd/one'), join(shop.context, 'd/two'));
    linkSync(join(shop.context, 'd/one'), join(shop.context, 'outside'));
    const { tree } = await shop.build('FROM scratch\nCOPY d /d/\nCOPY d/one outside /two/\nCOPY d/* /pattern/\nCOPY . /all/\n');
    const same = (a: string, b: string) => tree.get(a)?.identity === tree.get(b)?.identity;
    expect([same('d/one', 'd/two'), same('two/one', 'two/outside'), same('pattern/one', 'pattern/two')]).toEqual([true, false, false]);
    expect(same('all/d/two', 'all/outside')).toBe(true);
    expect(await tree.readText('all/outside')).toBe('x');
  });

  it.each([
    ['COPY gone* /x/', '"/nowhere": not found'],
    ['COPY d/* /x/', '"/d/inside": not found'],
    ['COPY missing/* /x/', 'lstat /missing: no such file or directory'],
    ['COPY f/* /x/', 'lstat /f: no such file or directory'],
    ['COPY --from=s /missing/*.txt /x/', 'lstat /missing: no such file or directory'],
  ])('%s is refused', async (line, message) => {
    shop.link('gone1', 'nowhere');
    shop.link('d/dangling', 'inside');
    shop.file('f');
    expect((await thrown(shop.build(`FROM scratch AS s\nCOPY f /f\nFROM scratch\n${line}\n`))).message).toContain(message);
  });

  it('links that lead nowhere are taken with the folder they are in; a pattern for a folder may find nothing', async () => {
    shop.link('d/dangling', 'inside');
    expect(await build('COPY d /x/', 'COPY miss*/a /y/')).toEqual({ 'x/dangling': '@inside' });
  });
});

describe('COPY --exclude and --parents', () => {
  beforeEach(() => {
    for (const path of ['dir1/file-101.txt', 'dir1/file-102.txt', 'dir1/sub/file-103.bin', 'dir2/file-201.txt', 'top.txt', 'top.md']) {
      shop.file(path, path);
    }
  });

  it('what it makes has one time, which zip can hold; SOURCE_DATE_EPOCH is another', async () => {
    const file = 'FROM scratch\nWORKDIR /made\nCOPY <<EOF /deep/er/text\nx\nEOF\n';
    const timesOf = (tree: { get(path: string): { mtime: number } | undefined }) =>
      ['made', 'deep', 'deep/er', 'deep/er/text'].map((path) => tree.get(path)?.mtime);
    const times = timesOf((await shop.build(file)).tree);
    expect(new Set(times).size).toBe(1);
    expect(times[0]).toBeGreaterThanOrEqual(Date.UTC(1980, 0, 1, 14) / 1000);
    const { tree } = await shop.build(file, { noCache: true, buildArgs: { SOURCE_DATE_EPOCH: '1600000000' } });
    expect(new Set(timesOf(tree))).toEqual(new Set([1_600_000_000]));
  });

  it('excludes from folders and from what a pattern found', async () => {
    expect(
      await build('COPY --exclude=*.txt dir1 /a/', 'COPY --exclude=*.txt top* /b/', 'COPY --exclude=** --exclude=!sub/*.bin dir1 /c/'),
    ).toEqual({
      'a/sub/file-103.bin': 'dir1/sub/file-103.bin',
      'b/top.md': 'top.md',
      'c/sub/file-103.bin': 'dir1/sub/file-103.bin',
    });
  });

  it('keeps parents, from the pivot on', async () => {
    expect(
      await build(
        'COPY --parents dir1/sub/file-103.bin dir2 /a/',
        'COPY --parents dir1/./sub/*.bin /b',
        'COPY --parents **/*.txt /c/',
        'COPY --parents top.md /d/',
      ),
    ).toEqual({
      'a/dir1/sub/file-103.bin': 'dir1/sub/file-103.bin',
      'a/dir2/file-201.txt': 'dir2/file-201.txt',
      'b/sub/file-103.bin': 'dir1/sub/file-103.bin',
      'c/dir1/file-101.txt': 'dir1/file-101.txt',
      'c/dir1/file-102.txt': 'dir1/file-102.txt',
      'c/dir2/file-201.txt': 'dir2/file-201.txt',
      'c/top.txt': 'top.txt',
      'd/top.md': 'top.md',
    });
  });
});

describe('COPY heredocs', () => {
  it('writes files, expands unless quoted, chomps tabs', async () => {
    const text = await build(
      'ARG name=World',
      'COPY <<EOF /one',
      'hello $name "x" ${name:-y} \\$name',
      'EOF',
      "COPY <<'EOF' <<-TWO /dir/",
      'raw $name \\x',
      'EOF',
      '\tindented',
      '\t\tmore',
      '\tTWO',
      'COPY --chmod=0700 --chown=5:6 <<robots.txt /srv/',
      '(Hello)',
      'robots.txt',
    );
    expect(text).toEqual({
      one: 'hello World "x" World $name\n',
      'dir/EOF': 'raw $name \\x\n',
      'dir/TWO': 'indented\nmore\n',
      'srv/robots.txt': '(Hello)\n',
    });
  });
});

describe('COPY --from', () => {
  it('reads stages by name and number, images, and keeps owners', async () => {
    await shop.busybox();
    shop.file('foo', 'foo');
    const { tree } = await shop.build(
      'FROM scratch AS STAge0\nCOPY --chown=3:4 foo /d/x\nFROM scratch\nCOPY --from=stage0 /d /a\nCOPY --from=0 d/x /b\nCOPY --from=busybox /etc/group /g\n',
    );
    expect(Object.keys(await show(tree))).toEqual(['a/x', 'b', 'g']);
    expect(tree.get('a/x')).toMatchObject({ uid: 3, gid: 4 });
    expect(tree.get('a')).toMatchObject({ uid: 0, gid: 0 });
  });

  it('resolves symlinks of the stage inside it', async () => {
    shop.file('sub/foo', 'foo');
    shop.link('c/abs', '/sub');
    shop.link('c/rel', '../sub');
    const { tree } = await shop.build(
      'FROM scratch AS a\nCOPY . /\nFROM scratch\nCOPY --from=a /c/abs/foo /1\nCOPY --from=a /c/rel/foo /2\nCOPY --from=a /c/abs /3/\n',
    );
    expect(await show(tree)).toEqual({ '1': 'foo', '2': 'foo', '3/foo': 'foo' });
  });

  it('keeps hard links within one copy', async () => {
    await shop.image('linked', { 'd/a': 'x' }, {}, [
      {
        path: 'd/b',
        hardlink: 'd/a',
        attributes: PLAIN_FILE,
      },
    ]);
    const { tree, blob } = await shop.build('FROM scratch\nCOPY --from=linked /d /e\n');
    expect(await show(tree)).toEqual({ 'e/a': 'x', 'e/b': 'x' });
    const listing = execFileSync('tar', ['-tvf', shop.store.layerTar(blob.rootfs.diff_ids[0] ?? '')], { encoding: 'utf8' });
    expect(listing).toMatch(/e\/b link to e\/a/);
  });

  it('refuses later stages and variables', async () => {
    const later = await thrown(shop.build('FROM scratch AS a\nCOPY --from=b x /\nFROM scratch AS b\nFROM a\n'));
    expect(later.message).toBe('cannot copy from stage "b", it needs to be defined before current stage "a"');
    const variable = await thrown(shop.build('FROM scratch\nARG x=y\nCOPY --from=$x a /\n'));
    expect(variable.message).toContain('variable expansion is not supported for --from');
  });

  it('reads named contexts', async () => {
    const other = join(shop.folder, 'other');
    mkdirSync(other);
    execFileSync('sh', ['-c', 'echo hi > f; echo no > skip; echo skip > .dockerignore'], { cwd: other });
    const { tree } = await shop.build('FROM scratch\nCOPY --from=Other . /o/\n', { additionalContexts: { other } });
    expect(await show(tree)).toEqual({ 'o/.dockerignore': 'skip\n', 'o/f': 'hi\n' });
  });

  it('a named context takes the place of the stage with its name, however that is named', async () => {
    const other = join(shop.folder, 'instead');
    mkdirSync(other);
    execFileSync('sh', ['-c', 'echo hi > f'], { cwd: other });
    const file =
      'FROM nowhere AS Dep\nRUN exit 1\nFROM scratch\nCOPY --from=dep f /name\nCOPY --from=0 f /number\nFROM dep\nCOPY --from=1 / /all/\n';
    const { tree } = await shop.build(file, { additionalContexts: { DEP: other } });
    expect(await show(tree)).toEqual({ f: 'hi\n', 'all/name': 'hi\n', 'all/number': 'hi\n' });
    expect(shop.machines.runs).toEqual([]);
    await shop.image('base', { 'a/file': 'of the image' }, { Env: ['PATH=/x', 'from=image'], OnBuild: ['ENV trigger=ran'] });
    const image = await shop.build('FROM nowhere AS dep\nRUN exit 1\nFROM dep\nENV own=1\n', {
      additionalContexts: { dep: 'docker-image://base' },
    });
    expect(image.blob.config.Env).toEqual(['PATH=/x', 'from=image', 'own=1']);
    const target = await shop.build('FROM nowhere AS dep\nRUN exit 1\n', {
      target: 'dep',
      additionalContexts: { dep: 'docker-image://base' },
    });
    expect(target.blob.config.Env).toEqual(['PATH=/x', 'from=image']);
    expect(await show((await shop.build('FROM scratch\nENV a=b\n', { additionalContexts: { scratch: other } })).tree)).toEqual({});
  });
});

describe('layers', () => {
  it('are what GNU tar reads', async () => {
    const long = `${'long-name/'.repeat(15)}${'x'.repeat(120)}`;
    shop.file(long, 'deep');
    shop.file('ünï', 'u');
    const { blob } = await shop.build('FROM scratch\nCOPY . /in/\n');
    const out = join(shop.folder, 'out');
    mkdirSync(out);
    execFileSync('tar', ['-xf', shop.store.layerTar(blob.rootfs.diff_ids[0] ?? ''), '-C', out]);
    expect(execFileSync('find', ['.', '-type', 'f'], { cwd: out, encoding: 'utf8' }).trim().split('\n').sort()).toEqual([
      `./in/${long}`,
      './in/ünï',
    ]);
  });

  it('refuses a folder over a file and a file over a folder', async () => {
    shop.file('d/x/y');
    shop.file('x');
    expect((await thrown(shop.build('FROM scratch\nCOPY x /d/x\nCOPY d /d\n'))).message).toBe('cannot copy to non-directory: /d/x');
    expect(
      (await thrown(shop.build('FROM scratch\nCOPY d /d\nCOPY x d/x/\nCOPY d/x/y /e/x/y/z\nCOPY x /e/x/\nCOPY . /e\n'))).message,
    ).toMatch(/cannot|non-directory/);
  });
});
