import { rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Behaviour, testBehaviours } from './behaviour.ts';
import { built, cached, refused } from './made.ts';

const PASSWD = `COPY <<USERS /etc/passwd
root:x:0:0::/:/
daemon:x:1:1::/:/
nobody:x:65534:65534::/:/
USERS
COPY <<GROUPS /etc/group
root:x:0:
nogroup:x:65534:
GROUPS
`;

const copying: readonly Behaviour[] = [
  {
    number: 2,
    name: 'relative destinations',
    check: async ({ write, build }) => {
      await write({ foo: 'foo' });
      const made = built(
        await build(
          'FROM scratch\nWORKDIR /test1\nWORKDIR test2\nCOPY foo ./\nCOPY foo ./bar/baz\nCOPY foo ../\nWORKDIR ../test3\nCOPY . .\n',
        ),
      );
      expect(made.files).toEqual({ 'test1/foo': 'foo', 'test1/test2/foo': 'foo', 'test1/test2/bar/baz': 'foo', 'test1/test3/foo': 'foo' });
    },
  },
  {
    number: 3,
    name: 'wildcards',
    check: async ({ write, build }) => {
      await write({ 'foo.go': 'go', 'bar.go': 'bar', 'sub/dir1/foo': 'one', 'sub/dir2/foo': 'two' });
      const made = built(
        await build(
          `FROM scratch
COPY *.go /gofiles/
COPY f*.go foo2.go
COPY sub/* /subdest/
COPY sub/*/foo /subdest2/
COPY . /all/
COPY sub/ /subdest3/
COPY sub/. /subdest4/
COPY sub /subdest5
COPY sub/dir1/. /subdest6
`,
        ),
      );
      expect(made.files).toMatchObject({
        'gofiles/foo.go': 'go',
        'gofiles/bar.go': 'bar',
        'foo2.go': 'go',
        'subdest/foo': 'two',
        'subdest2/foo': 'two',
        'all/foo.go': 'go',
        'all/sub/dir1/foo': 'one',
        'subdest3/dir1/foo': 'one',
        'subdest4/dir2/foo': 'two',
        'subdest5/dir1/foo': 'one',
        'subdest6/foo': 'one',
      });
    },
  },
  {
    number: 4,
    name: 'a wildcard for nothing beside one that matches',
    check: async ({ write, build }) => {
      await write({ foo: 'foo' });
      expect(built(await build('FROM scratch\nCOPY foo nomatch* /\n')).files).toEqual({ foo: 'foo' });
    },
  },
  {
    number: 5,
    name: 'copying over what is there',
    check: async ({ write, build }) => {
      await write({ 'sub/foo': 'new', 'sub/dir/bar': 'bar', 'files/foo': 'first', 'files/keep': 'keep' });
      const made = built(await build('FROM scratch\nCOPY files /\nCOPY sub /\nCOPY sub /\nCOPY files /dest\nCOPY sub /dest\n'));
      expect(made.files).toEqual({
        foo: 'new',
        keep: 'keep',
        'dir/bar': 'bar',
        'dest/foo': 'new',
        'dest/keep': 'keep',
        'dest/dir/bar': 'bar',
      });
    },
  },
  {
    number: 6,
    name: 'an empty destination is the WORKDIR',
    check: async ({ write, build }) => {
      await write({ foo: 'foo' });
      expect(built(await build("FROM scratch\nENV empty=''\nWORKDIR /w\nCOPY foo $empty\n")).files).toEqual({ 'w/foo': 'foo' });
    },
  },
  {
    number: 7,
    name: 'a slash at the end makes a folder',
    check: async ({ write, build }) => {
      await write({ foo: 'foo' });
      expect(built(await build('FROM scratch\nCOPY foo /new/\nCOPY foo /new2\n')).files).toEqual({ 'new/foo': 'foo', new2: 'foo' });
    },
  },
  {
    number: 8,
    name: 'names in UTF-8, with % and +',
    check: async ({ write, build }) => {
      await write({ 'test-äöü.txt': 'utf', 'test-%C3%A4.txt': 'percent', 'test+aou.txt': 'plus' });
      const made = built(await build('FROM scratch\nCOPY test-äöü.txt /\nCOPY test-%C3%A4.txt /\nCOPY test+aou.txt /\n'));
      expect(made.files).toEqual({ 'test-äöü.txt': 'utf', 'test-%C3%A4.txt': 'percent', 'test+aou.txt': 'plus' });
    },
  },
  {
    number: 9,
    name: 'a link named as source is followed',
    check: async ({ dir, write, build }) => {
      await write({ bar: 'bar', 'sub/target': 'deep' });
      await symlink('bar', join(dir, 'foo'));
      await symlink('sub/target', join(dir, 'blink'));
      await symlink('/bar', join(dir, 'absolute'));
      const made = built(await build('FROM scratch\nCOPY foo /\nCOPY b* /globbed/\nCOPY absolute /\n'));
      expect(made.files).toEqual({ foo: 'bar', 'globbed/bar': 'bar', 'globbed/blink': 'deep', absolute: 'bar' });
    },
  },
  {
    number: 10,
    name: 'links on the way to the source are followed',
    check: async ({ dir, write, build }) => {
      await write({ bar: 'bar-contents', 'foo/x': 'x' });
      await symlink('../bar', join(dir, 'foo/sub'));
      expect(built(await build('FROM scratch\nCOPY foo/sub bar\n')).files).toEqual({ bar: 'bar-contents' });
    },
  },
  {
    number: 11,
    name: 'through a link to a folder of the context',
    check: async ({ dir, write, build }) => {
      await write({ 'sub/foo': 'foo' });
      await symlink('sub', join(dir, 'link'));
      expect(built(await build('FROM scratch\nCOPY link/foo .\n')).files).toEqual({ foo: 'foo' });
    },
  },
  {
    number: 12,
    name: 'through links to folders of a stage',
    check: async ({ dir, write, build }) => {
      await write({ 'tree/sub/foo': 'foo' });
      await symlink('/tree/sub', join(dir, 'tree/absolute'));
      await symlink('./sub', join(dir, 'tree/relative'));
      const made = built(
        await build(
          'FROM scratch AS a\nCOPY tree /tree\nFROM scratch\nCOPY --from=a /tree/absolute/foo /1\nCOPY --from=a /tree/relative/foo /2\n',
        ),
      );
      expect(made.files).toEqual({ '1': 'foo', '2': 'foo' });
    },
  },
  {
    number: 13,
    name: 'a destination through a link stays inside the root',
    check: async ({ dir, write, build }) => {
      await write({ 'links/x': 'x', foo: 'foo' });
      await symlink('../../../../tmp', join(dir, 'links/up'));
      await symlink('/tmp', join(dir, 'links/absolute'));
      const made = built(await build('FROM scratch\nCOPY links /links\nCOPY foo /links/up/one\nCOPY foo /links/absolute/two\n'));
      expect(made.files).toMatchObject({ 'tmp/one': 'foo', 'tmp/two': 'foo', 'links/up': '-> ../../../../tmp' });
    },
  },
  {
    number: 14,
    name: '--chown by name, number and variable',
    check: async ({ write, build }) => {
      await write({ foo: 'foo', 'sub/bar': 'bar' });
      const made = built(
        await build(
          `FROM scratch\n${PASSWD}ENV owner=1000\nARG group=nogroup\nCOPY --chown=daemon foo /\nCOPY --chown=1000:nogroup sub /dir\nCOPY --chown=\${owner}:\${group} foo /bar\n`,
        ),
      );
      expect(made.meta).toMatchObject({
        foo: '-rw-r--r-- 1/1',
        'dir/': 'drwxr-xr-x 1000/65534',
        'dir/bar': '-rw-r--r-- 1000/65534',
        bar: '-rw-r--r-- 1000/65534',
      });
    },
  },
  {
    number: 15,
    name: '--chown owns the destination it makes',
    check: async ({ write, build }) => {
      await write({ foo: 'foo' });
      const made = built(await build(`FROM scratch\nCOPY --chown=5:6 foo /new/sub/\n`));
      expect(made.meta).toMatchObject({ 'new/': 'drwxr-xr-x 5/6', 'new/sub/': 'drwxr-xr-x 5/6', 'new/sub/foo': '-rw-r--r-- 5/6' });
    },
  },
  {
    number: 16,
    name: '--chown leaves a folder that was there',
    check: async ({ write, build }) => {
      await write({ 'dir/foo': 'foo' });
      const made = built(
        await build('FROM scratch\nCOPY --chown=1:2 dir /there\nCOPY --chown=3:4 dir /there\nCOPY --chown=3:4 dir /there/new\n'),
      );
      expect(made.meta).toMatchObject({ 'there/': 'drwxr-xr-x 1/2', 'there/foo': '-rw-r--r-- 3/4', 'there/new/': 'drwxr-xr-x 3/4' });
    },
  },
  {
    number: 17,
    name: '--chmod',
    check: async ({ write, build }) => {
      await write({ foo: 'foo', 'dir/bar': 'bar' });
      const made = built(
        await build(
          'FROM scratch\nARG mode=755\nCOPY --chmod=0644 foo /a\nCOPY --chmod=777 foo /b\nCOPY --chmod=0 foo /c\nCOPY --chmod=$mode foo /d\nCOPY --chmod=1700 dir /e/\n',
        ),
      );
      expect(made.meta).toEqual({
        a: '-rw-r--r-- 0/0',
        b: '-rwxrwxrwx 0/0',
        c: '---------- 0/0',
        d: '-rwxr-xr-x 0/0',
        'e/': 'drwxr-xr-x 0/0',
        'e/bar': '-rwx-----T 0/0',
      });
    },
  },
  {
    number: 18,
    name: 'a --chmod that is none',
    check: async ({ write, build }) => {
      await write({ foo: 'foo' });
      refused(await build('FROM scratch\nCOPY --chmod=64a foo /\n'), "invalid chmod parameter: '64a'", 'Dockerfile:2');
      refused(await build('FROM scratch\nCOPY --chmod=10000 foo /\n'), "invalid chmod parameter: '10000'", 'Dockerfile:2');
    },
  },
  {
    number: 20,
    name: '--exclude',
    check: async ({ write, build }) => {
      await write({ 'dir/a.txt': 'a', 'dir/b.go': 'b', 'dir/sub/c.txt': 'c', 'dir/sub/d': 'd' });
      const made = built(
        await build(
          '# syntax=docker/dockerfile:1-labs\nFROM scratch AS s\nCOPY dir /dir\nFROM scratch\nCOPY --exclude=*.txt --exclude=sub/d dir /one\nCOPY --from=s --exclude=**/*.txt dir /two\n',
        ),
      );
      expect(made.files).toEqual({ 'one/b.go': 'b', 'one/sub/c.txt': 'c', 'two/b.go': 'b', 'two/sub/d': 'd' });
    },
  },
  {
    number: 21,
    name: '--parents',
    check: async ({ write, build }) => {
      await write({ 'foo/bar/foo1': 'one', 'foo/bar/foo2': 'two', 'foo/baz/foo1': 'three' });
      const made = built(await build('FROM scratch\nCOPY --parents foo/bar/foo1 /one/\nWORKDIR /two\nCOPY --parents foo/*/foo1 .\n'));
      expect(made.files).toEqual({ 'one/foo/bar/foo1': 'one', 'two/foo/bar/foo1': 'one', 'two/foo/baz/foo1': 'three' });
    },
  },
  {
    number: 22,
    name: '--parents from a /./ on',
    check: async ({ write, build }) => {
      await write({ 'a/b/c/d/e': 'e', 'a/b2/c/d/f': 'e2' });
      const made = built(
        await build(
          'FROM scratch AS s\nCOPY . /test\nFROM scratch\nCOPY --from=s --parents /test/a/./b/c/d /one/\nCOPY --parents ./a/*/./c/d/* /two/\n',
        ),
      );
      expect(made.files).toEqual({ 'one/b/c/d/e': 'e', 'two/c/d/e': 'e', 'two/c/d/f': 'e2' });
    },
  },
  {
    number: 23,
    name: '--link knows the WORKDIR',
    check: async ({ write, build }) => {
      await write({ foo: 'foo' });
      expect(built(await build('FROM scratch\nWORKDIR /a/b\nCOPY --link foo .\n')).files).toEqual({ 'a/b/foo': 'foo' });
    },
  },
];

const caching: readonly Behaviour[] = [
  {
    number: 19,
    name: 'a folder that becomes a file',
    check: async ({ dir, write, build }) => {
      await write({ 'foo/bar': 'bar' });
      expect(built(await build('FROM scratch\nCOPY foo /\n')).files).toEqual({ bar: 'bar' });
      await rm(join(dir, 'foo'), { recursive: true });
      await write({ foo: 'file' });
      expect(built(await build('FROM scratch\nCOPY foo /\n')).files).toEqual({ foo: 'file' });
    },
  },
  {
    number: 25,
    name: 'a new name under a wildcard is seen',
    check: async ({ dir, write, build }) => {
      await write({ file1: 'content-25' });
      const text = 'FROM scratch\nCOPY file* /files/\n';
      built(await build(text));
      expect(cached(built(await build(text)))).toEqual(['COPY file* /files/']);
      await rename(join(dir, 'file1'), join(dir, 'file2'));
      const third = built(await build(text));
      expect(cached(third)).toEqual([]);
      expect(third.files).toEqual({ 'files/file2': 'content-25' });
    },
  },
];

const variables: readonly Behaviour[] = [
  {
    number: 42,
    name: 'ARG in FROM, overridden',
    check: async ({ build }) => {
      const text = 'ARG tag=nosuch\nFROM scratch AS first\nCOPY <<E /which\nfirst\nE\nFROM ${tag}\n';
      expect(built(await build(text, ['--build-arg', 'tag=first'])).files).toEqual({ which: 'first\n' });
    },
  },
  {
    number: 43,
    name: 'a default that complains, only when it is needed',
    check: async ({ build }) => {
      const text = 'FROM scratch\nARG FOO\nARG BAR=${FOO:?"foo missing"}\nCOPY <<E /bar\n$BAR\nE\n';
      refused(await build(text), 'FOO: foo missing', 'Dockerfile:3');
      expect(built(await build(text, ['--build-arg', 'FOO=x'])).files).toEqual({ bar: 'x\n' });
      expect(built(await build(text, ['--build-arg', 'BAR=y'])).files).toEqual({ bar: 'y\n' });
    },
  },
  {
    number: 44,
    name: 'several ARGs in a line',
    check: async ({ build }) => {
      const text = `ARG a1="foo bar" a2=box a3="$a2-foo"\nFROM scratch\nARG a3 a4="123 456" a1 a5='$x'\nCOPY <<E /all\n$a1:\${a2-unset}:$a3:$a4:$a5\nE\n`;
      expect(built(await build(text)).files).toEqual({ all: 'foo bar:unset:box-foo:123 456:$x\n' });
    },
  },
  {
    number: 46,
    name: 'parts of values',
    check: async ({ build }) => {
      const text =
        'FROM scratch\nARG image=idlebox\nENV A=${image#idle} B=${none:-dflt} C=${image%%l*} D=${image/box/car} E=${image:+set}\nCOPY <<T /v\n$A $B $C $D $E\nT\n';
      expect(built(await build(text)).files).toEqual({ v: 'box dflt id idlecar set\n' });
    },
  },
  {
    number: 47,
    name: 'an empty ARG is set, one without a value is not',
    check: async ({ build }) => {
      const text = 'FROM scratch\nARG FOO\nARG BAR=\nENV A="<${FOO-unset}>" B="<${BAR-unset}>"\nCOPY <<T /v\n$A$B\nT\n';
      expect(built(await build(text)).files).toEqual({ v: '<unset><>\n' });
    },
  },
];

const stages: readonly Behaviour[] = [
  {
    number: 48,
    name: 'COPY --from an image; a stage hides an image',
    check: async ({ build }) => {
      const image = built(await build('FROM scratch\nCOPY --from=busybox /etc/passwd /p\n'));
      expect(image.files.p).toContain('root:x:0:0');
      const stage = built(await build('FROM scratch AS busybox\nCOPY <<E /p\nmine\nE\nFROM scratch\nCOPY --from=busybox /p /p\n'));
      expect(stage.files).toEqual({ p: 'mine\n' });
    },
  },
  {
    number: 49,
    name: 'names of stages in any case',
    check: async ({ write, build }) => {
      await write({ foo: 'foo' });
      const text = 'FROM scratch AS STAge0\nCOPY foo /f\nFROM staGE0 AS stage1\nCOPY --from=STAGE0 /f /g\nFROM scratch\n';
      expect(built(await build(text, ['--target', 'Stage1'])).files).toEqual({ f: 'foo', g: 'foo' });
    },
  },
  {
    number: 50,
    name: 'a later stage cannot be copied from',
    check: async ({ build }) => {
      const text = 'FROM scratch AS target\nCOPY --from=build /out /\nFROM scratch AS build\nCOPY <<E /out\nx\nE\n';
      refused(
        await build(text, ['--target', 'target']),
        'cannot copy from stage "build", it needs to be defined before current stage "target"',
        'Dockerfile:2',
      );
    },
  },
  {
    number: 58,
    name: 'ONBUILD of a stage runs once',
    check: async ({ write, build }) => {
      await write({ foo: 'foo', bar: 'bar' });
      const made = built(
        await build('FROM scratch AS base\nONBUILD COPY foo /once\nFROM base AS mid\nCOPY bar /bar\nFROM mid\nCOPY --from=base / /base\n'),
      );
      expect(made.files).toEqual({ once: 'foo', bar: 'bar' });
      expect(made.stderr.match(/COPY foo \/once$/gm)).toHaveLength(1);
    },
  },
];

const heredocs: readonly Behaviour[] = [
  {
    number: 51,
    name: 'COPY of heredocs, with owner and mode',
    check: async ({ build }) => {
      const made = built(
        await build(
          'FROM scratch\nCOPY <<EOF /dest\ni am\nEOF\nCOPY <<one <<two /dir/\nfirst\none\nsecond\ntwo\nCOPY --chmod=777 --chown=1:2 <<EOF /owned\nx\nEOF\n',
        ),
      );
      expect(made.files).toEqual({ dest: 'i am\n', 'dir/one': 'first\n', 'dir/two': 'second\n', owned: 'x\n' });
      expect(made.meta).toMatchObject({ dest: '-rw-r--r-- 0/0', owned: '-rwxrwxrwx 1/2' });
    },
  },
  {
    number: 54,
    name: 'indents, quotes and variables of heredocs',
    check: async ({ build }) => {
      const made = built(
        await build(
          `FROM scratch\nARG name=world\nCOPY <<-EOF /a\n\thello $name\n\t\t"two" 'q'\n\tEOF\nCOPY <<'EOF' /b\nhello $name \\$x\nEOF\nCOPY <<"EOF" /c\n\${name:-x}\nEOF\nCOPY <<EOF /d\n\\$name \${name:+yes} \\\\ \\n\nEOF\n`,
        ),
      );
      expect(made.files).toEqual({
        a: 'hello world\n"two" \'q\'\n',
        b: 'hello $name \\$x\n',
        c: '${name:-x}\n',
        d: '$name yes \\ n\n',
      });
    },
  },
];

testBehaviours('behaviours of files', [...copying, ...caching, ...variables, ...stages, ...heredocs]);
