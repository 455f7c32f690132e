import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { pruneBuildCache } from '../../../builder/build.ts';
import { show, thrown, Workshop } from '../solver/workshop.ts';
import { GitServer } from './git-server.ts';

let shop: Workshop;
let server: GitServer;
beforeEach(async () => {
  shop = new Workshop();
  server = new GitServer();
  await server.start();
});
afterEach(async () => {
  shop.close();
  await server.close();
});

const leftInStaging = () => readdirSync(join(shop.folder, 'build', 'tmp'));
const ALL = 'FROM scratch\nCOPY . /\n';

describe('git as a build context', () => {
  it('finds branches, tags, commits and folders, and keeps nothing but the repository', async () => {
    const first = server.commit('r', {
      Dockerfile: ALL,
      foo: 'one',
      '.dockerignore': 'foo',
      'sub/Dockerfile': 'FROM scratch\nCOPY x /y\n',
      'sub/x': 'X',
    });
    server.git('r', 'tag', '-a', 'v1', '-m', 'v1');
    server.commit('r', { foo: 'two' });
    const url = `${server.url}/r.git`;
    const path = { dockerfile: { path: 'Dockerfile' } };
    const foo = async (source: string) => (await show((await shop.build('', { context: source, ...path })).tree)).foo;
    expect(await foo(url)).toBe('two');
    expect(await foo(`${url}#v1`)).toBe('one');
    expect(await foo(`${url}?tag=v1`)).toBe('one');
    expect(await foo(`${url}#refs/heads/main`)).toBe('two');
    const fetched = server.requests.length;
    expect(await foo(`${url}#${first}`)).toBe('one');
    // A commit that is there is not asked for.
    expect(server.requests.length).toBe(fetched);
    expect(await show((await shop.build('', { context: `${url}#main:sub`, ...path })).tree)).toEqual({ y: 'X' });
    expect(await show((await shop.build('FROM scratch\nCOPY sub/x /\n', { context: url })).tree)).toEqual({ x: 'X' });
    expect(leftInStaging()).toEqual([]);
  });

  it('says what is missing', async () => {
    server.commit('r', { foo: 'one' });
    symlinkSync('/etc', join(server.folder, 'r', 'out'));
    server.commit('r', {});
    const refused = async (source: string) =>
      (await thrown(shop.run('', { context: `${server.url}/${source}`, dockerfile: { path: 'Dockerfile' } }))).message;
    expect(await refused('r.git#nope')).toContain('repository does not contain ref nope');
    expect(await refused('r.git')).toContain('Dockerfile is not in the build context');
    expect(await refused('r.git#:gone')).toContain('"gone" of the repository: not found');
    expect(await refused('r.git#:out')).toContain('"out" of the repository: not a directory');
    expect(await refused('r.git?checksum=1234567')).toContain('expected checksum to match 1234567');
    expect(await refused('none.git')).toContain('cannot list');
    expect(leftInStaging()).toEqual([]);
  });

  it('is a named context, and shows links as links', async () => {
    server.commit('r', { foo: 'F' });
    symlinkSync('/etc/passwd', join(server.folder, 'r', 'link'));
    chmodSync(join(server.folder, 'r', 'foo'), 0o777);
    server.commit('r', {});
    const { tree } = await shop.build('FROM src\nCOPY --from=src /foo /bar\n', { additionalContexts: { src: `${server.url}/r.git` } });
    expect(await show(tree)).toEqual({ foo: 'F', bar: 'F', link: '@/etc/passwd' });
    expect(tree.get('foo')).toMatchObject({ mode: 0o755, uid: 0, gid: 0 });
  });

  it('authenticates with the secret of the host, which no argument and no event shows', async () => {
    server.commit('r', { foo: 'F' });
    server.authorization = `basic ${Buffer.from('x-access-token:s3cret').toString('base64')}`;
    const host = new URL(server.url).host;
    const build = (secrets: Record<string, { value: string }>) => shop.build(`FROM scratch\nADD ${server.url}/r.git /\n`, { secrets });
    expect(await show((await build({ GIT_AUTH_TOKEN: { value: 's3cret\n' } })).tree)).toEqual({ foo: 'F' });
    expect(JSON.stringify(shop.events)).not.toContain('s3cret');
    server.commit('r', { foo: 'G' });
    const both = { GIT_AUTH_TOKEN: { value: 'wrong' }, [`GIT_AUTH_HEADER.${host}`]: { value: server.authorization } };
    expect(await show((await build(both)).tree)).toEqual({ foo: 'G' });
    const denied = await thrown(build({ 'GIT_AUTH_TOKEN.elsewhere': { value: 's3cret' } }));
    expect(denied.hint).toContain('GIT_AUTH_TOKEN');
  });

  describe('with another server', () => {
    let other: GitServer;
    beforeEach(async () => {
      other = new GitServer();
      await other.start();
    });
    afterEach(() => other.close());

    const build = (secrets: Record<string, { value: string }>) =>
      shop.build(`FROM scratch\nADD ${server.url}/r.git /\n`, { secrets: { GIT_AUTH_TOKEN: { value: 's3cret' }, ...secrets } });
    const submodule = (name: string, url: string) => {
      const id = server.commit('s', { in: 'S' });
      server.git(name, 'update-index', '--add', '--cacheinfo', `160000,${id},mod`);
      server.git(name, 'config', '-f', '.gitmodules', 'submodule.mod.path', 'mod');
      server.git(name, 'config', '-f', '.gitmodules', 'submodule.mod.url', url);
      server.git(name, 'add', '.gitmodules');
      server.git(name, 'commit', '-q', '-m', 'submodule');
    };

    it('sends secrets that name no host to the server that was asked for, not to those of its submodules', async () => {
      other.serve(server.folder);
      server.commit('r', { foo: 'F' });
      submodule('r', `${other.url}/s.git`);
      expect(await show((await build({})).tree)).toMatchObject({ foo: 'F', 'mod/in': 'S' });
      expect([...other.authorizations]).toEqual(['']);
      expect(server.authorizations).toContain(`basic ${Buffer.from('x-access-token:s3cret').toString('base64')}`);
    });

    it('sends no secret to where a server redirects, but that of the host there', async () => {
      other.serve(server.folder);
      server.commit('r', { foo: 'F' });
      server.redirect = (path) => `${other.url}${path}`;
      expect(await show((await build({})).tree)).toEqual({ foo: 'F' });
      expect([...other.authorizations]).toEqual(['']);
      other.authorization = 'basic own';
      server.commit('r', { foo: 'G' });
      expect(await show((await build({ [`GIT_AUTH_HEADER.${new URL(other.url).host}`]: { value: 'basic own' } })).tree)).toEqual({
        foo: 'G',
      });
      expect((await thrown(build({ 'GIT_AUTH_TOKEN.elsewhere': { value: 'x' } }))).hint).toContain('GIT_AUTH_TOKEN');
      expect([...other.authorizations].sort()).toEqual(['', 'basic own']);
    });

    it('sends the secret on where a repository was renamed on its server', async () => {
      server.commit('new', { foo: 'F' });
      server.authorization = `basic ${Buffer.from('x-access-token:s3cret').toString('base64')}`;
      server.redirect = (path) => (path.startsWith('/r.git') ? path.replace('/r.git', '/new.git') : undefined);
      expect(await show((await build({})).tree)).toEqual({ foo: 'F' });
      server.redirect = (path) => path;
      expect(await thrown(build({}))).toMatchObject({ code: 'BUILD_FAILED' });
    });

    it('sends the secret of a host to a submodule there, and the one without a host to a submodule of the same server', async () => {
      server.commit('r', { foo: 'F' });
      submodule('r', `${server.url}/s.git`);
      server.authorization = `basic ${Buffer.from('x-access-token:s3cret').toString('base64')}`;
      expect(await show((await build({})).tree)).toMatchObject({ 'mod/in': 'S' });
      other.serve(server.folder);
      submodule('r', `${other.url}/s.git`);
      await build({ [`GIT_AUTH_HEADER.${new URL(other.url).host}`]: { value: 'basic own' } });
      expect([...other.authorizations]).toEqual(['basic own']);
    });
  });
});

describe('ADD of git', () => {
  it('is cached by the commit, and can keep .git', async () => {
    const commit = server.commit('r', { 'a/foo': 'F' });
    const add = (flags: string, part = '') => shop.build(`FROM scratch\nADD ${flags} ${server.url}/r.git${part} /d/\n`);
    const plain = await add(`--checksum=${commit.slice(0, 12)} --chown=3:4`);
    expect(await show(plain.tree)).toEqual({ 'd/a/foo': 'F' });
    expect(plain.tree.get('d/a/foo')).toMatchObject({ uid: 3, gid: 4, mode: 0o644 });
    await add(`--checksum=${commit.slice(0, 12)} --chown=3:4`);
    expect(shop.cached()).toHaveLength(1);
    expect(Object.keys(await show((await add('', '#:a')).tree))).toEqual(['d/foo']);
    const kept = await show((await add('--keep-git-dir=true', '#main')).tree);
    expect(kept['d/.git/HEAD']).toBe('ref: refs/heads/main\n');
    expect(kept['d/.git/refs/heads/main']).toBe(`${commit}\n`);
    expect(kept['d/.git/config']).toContain(`${server.url}/r.git`);
    expect((await thrown(add('--checksum=00000000'))).message).toContain(`got ${commit}`);
    expect((await thrown(shop.run(`FROM scratch\nCOPY ${server.url}/r.git /\n`))).message).toContain("can't be a URL for COPY");
    expect(leftInStaging()).toEqual([]);
  });

  it('fills submodules, unless told not to, and none that would read this host', async () => {
    server.commit('s', { in: 'S' });
    server.commit('r', { foo: 'F' });
    server.git('r', 'submodule', 'add', '-q', join(server.folder, 's'), 'mod');
    server.git('r', 'config', '-f', '.gitmodules', 'submodule.mod.url', '../s.git');
    server.commit('r', {});
    const add = async (part: string) => await show((await shop.build(`FROM scratch\nADD ${server.url}/r.git${part} /\n`)).tree);
    expect(await add('')).toMatchObject({ foo: 'F', 'mod/in': 'S' });
    expect(await add('?submodules=false')).not.toHaveProperty('mod/in');
    for (const url of [join(server.folder, 's'), `file://${server.folder}/s`, `ext::sh -c "touch ${server.folder}/pwned"`]) {
      server.git('r', 'config', '-f', '.gitmodules', 'submodule.mod.url', url);
      server.commit('r', {});
      expect((await thrown(add(''))).message).toContain('is not the URL of a git repository');
    }
    expect(readdirSync(server.folder)).not.toContain('pwned');
  });

  it('is fetched once by builds at the same time', async () => {
    server.commit('r', { foo: 'F' });
    const text = `FROM scratch\nADD ${server.url}/r.git /\n`;
    const made = await Promise.all([shop.build(text), shop.build(text)]);
    expect(made[0]?.imageId).toBe(made[1]?.imageId);
    expect(server.requests.filter((path) => path.endsWith('/git-upload-pack')).length).toBeLessThanOrEqual(4);
  });

  it('stops when it is told to, and leaves nothing', async () => {
    const controller = new AbortController();
    // Never answers: only the abort ends it.
    const deaf = createServer(() => controller.abort(new HyprError('HYPR_CANCELLED', 'enough')));
    await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(deaf.address() as AddressInfo).port}/r.git`;
    try {
      const error = await thrown(shop.run('FROM scratch\n', { context: url, dockerfile: { path: 'Dockerfile' } }, controller.signal));
      expect(error.code).toBe('HYPR_CANCELLED');
    } finally {
      deaf.closeAllConnections();
      await new Promise((resolve) => deaf.close(resolve));
    }
  });

  it('is pruned whole, and fetched again', async () => {
    server.commit('r', { foo: 'F' });
    const build = () => shop.build(`FROM scratch\nADD ${server.url}/r.git /\n`, { noCache: true });
    const repositories = () => readdirSync(join(shop.folder, 'build', 'git'));
    await build();
    expect(await pruneBuildCache(join(shop.folder, 'build'), 3_600_000)).toBe(0);
    expect(repositories()).toHaveLength(1);
    expect(await pruneBuildCache(join(shop.folder, 'build'), 0)).toBeGreaterThan(0);
    expect(repositories()).toEqual([]);
    expect(await show((await build()).tree)).toEqual({ foo: 'F' });
  });

  it('says how to install git', async () => {
    vi.stubEnv('PATH', shop.folder);
    try {
      const error = await thrown(shop.run(`FROM scratch\nADD ${server.url}/r.git /\n`));
      expect(error).toMatchObject({ code: 'TOOLCHAIN_MISSING', hint: expect.stringContaining('apt-get install git') });
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

describe('contexts from the web and standard input', () => {
  const tarOf = (name: string, flags: string[]) => {
    const from = join(shop.folder, 'tree');
    mkdirSync(join(from, 'sub'), { recursive: true });
    writeFileSync(join(from, 'Dockerfile'), ALL);
    writeFileSync(join(from, 'sub', 'Dockerfile'), 'FROM scratch\nCOPY sub/x /\n');
    writeFileSync(join(from, 'sub', 'x'), 'X');
    execFileSync('tar', [...flags, '-cf', join(shop.folder, name), '-C', from, '.']);
    return readFileSync(join(shop.folder, name));
  };

  it.each([
    ['plain', []],
    ['gzip', ['-z']],
    ['xz', ['-J']],
  ])('reads a %s tar from standard input', async (name, flags) => {
    const data = tarOf(`${name}.tar`, flags);
    const build = async (path: string) =>
      await show((await shop.build('', { context: '-', stdin: Readable.from([data]), dockerfile: { path } })).tree);
    expect(await build('Dockerfile')).toMatchObject({ 'sub/x': 'X' });
    expect(await build('sub/Dockerfile')).toEqual({ x: 'X' });
    expect(leftInStaging()).toEqual([]);
  });

  it('takes what is no tar for a Dockerfile', async () => {
    const build = (text: string) =>
      shop.build('', { context: '-', stdin: Readable.from([Buffer.from(text)]), dockerfile: { path: 'Dockerfile' } });
    expect(await show((await build('FROM scratch\nCOPY <<E /a\nhi\nE\n')).tree)).toEqual({ a: 'hi\n' });
    expect((await thrown(build('\0\0binary'))).message).toContain('neither a tar archive nor a Dockerfile');
    expect(leftInStaging()).toEqual([]);
  });

  it('fetches a tar or a Dockerfile', async () => {
    const answers = new Map<string, Buffer>([
      ['/c.tar.gz', tarOf('c.tar.gz', ['-z'])],
      ['/Dockerfile', Buffer.from('FROM scratch\nCOPY <<E /a\nhi\nE\n')],
    ]);
    const web = createServer((request, response) =>
      response.writeHead(answers.has(request.url ?? '') ? 200 : 404).end(answers.get(request.url ?? '')),
    );
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    const at = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
    try {
      const build = (path: string) => shop.build('', { context: at + path, dockerfile: { path: 'Dockerfile' } });
      expect(await show((await build('/c.tar.gz')).tree)).toMatchObject({ 'sub/x': 'X' });
      expect(await show((await build('/Dockerfile')).tree)).toEqual({ a: 'hi\n' });
      expect((await thrown(build('/none'))).message).toContain('status 404');
      const named = await shop.build('FROM scratch\nCOPY --from=c sub/x /\n', { additionalContexts: { c: `${at}/c.tar.gz` } });
      expect(await show(named.tree)).toEqual({ x: 'X' });
    } finally {
      await new Promise((resolve) => web.close(resolve));
    }
  });
});
