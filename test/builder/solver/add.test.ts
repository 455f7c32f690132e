import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { show, thrown, Workshop } from './workshop.ts';

let shop: Workshop;
beforeEach(() => {
  shop = new Workshop();
});
afterEach(() => shop.close());

const archive = (name: string, flags: string[]) => {
  const from = join(shop.folder, `tree-${name}`);
  mkdirSync(join(from, 'd'), { recursive: true });
  execFileSync('sh', ['-c', 'echo one > d/one; ln -s one d/link; ln d/one d/hard; echo two > two'], { cwd: from });
  execFileSync('tar', ['--owner=7', '--group=8', '--numeric-owner', ...flags, '-cf', join(shop.context, name), 'd', 'two'], { cwd: from });
};

describe('ADD of archives', () => {
  const content = { 'x/d/hard': 'one\n', 'x/d/link': '@one', 'x/d/one': 'one\n', 'x/two': 'two\n' };

  it.each([
    ['a.tar', []],
    ['a.tar.gz', ['-z']],
    ['misnamed', ['-z']],
    ['a.tar.xz', ['-J']],
    ['a.tar.bz2', ['-j']],
  ])('unpacks %s', async (name, flags) => {
    archive(name, flags);
    const { tree } = await shop.build(`FROM scratch\nADD ${name} /x\n`);
    expect(await show(tree)).toEqual(content);
    expect(tree.get('x/two')).toMatchObject({ uid: 7, gid: 8 });
  });

  it('with patterns and owners; not for COPY, --unpack=false or what is none', async () => {
    archive('a.tar', []);
    shop.file('plain.tar', 'not a tar');
    const owned = await shop.build('FROM scratch\nADD --chown=3 a*.tar /x/\n');
    expect(await show(owned.tree)).toEqual(content);
    expect(owned.tree.get('x/two')).toMatchObject({ uid: 3, gid: 3 });
    const modes = await shop.build('FROM scratch\nADD --chmod=700 a.tar /x/\n');
    expect(modes.tree.get('x/two')?.mode).toBe(owned.tree.get('x/two')?.mode);
    const kept = await shop.build('FROM scratch\nCOPY a.tar /c\nADD --unpack=false a.tar /n\nADD plain.tar /p/\n');
    expect(['c', 'n', 'p/plain.tar'].map((path) => kept.tree.get(path)?.type)).toEqual(['file', 'file', 'file']);
    expect(await kept.tree.readText('p/plain.tar')).toBe('not a tar');
  });

  it('dates folders that it has no entry of so that zip can write them', async () => {
    execFileSync('sh', ['-c', 'mkdir -p d/e && echo f > d/e/f && tar -cf parents.tar d/e/f'], { cwd: shop.context });
    const { tree } = await shop.build('FROM scratch\nADD parents.tar /x/\n');
    expect([tree.get('x/d'), tree.get('x/d/e')]).toMatchObject([{ mtime: 315_619_200 }, { mtime: 315_619_200 }]);
  });

  it('leaves folders that it has no entry of as the image has them, and follows links that are there instead', async () => {
    const script =
      'mkdir -p base/tmp base/usr/lib && chmod 1777 base/tmp && ln -s usr/lib base/lib && tar --owner=0 --group=5 --numeric-owner -C base -cf base.tar .';
    execFileSync('sh', ['-c', script], { cwd: shop.context });
    execFileSync('sh', ['-c', 'mkdir -p tmp lib/sub && echo t > tmp/t && echo l > lib/sub/l && tar -cf more.tar tmp/t lib/sub/l'], {
      cwd: shop.context,
    });
    const { tree } = await shop.build('FROM scratch\nADD base.tar /\nADD --chown=7:8 more.tar /\n');
    expect(tree.get('tmp')).toMatchObject({ mode: 0o1777, uid: 0, gid: 5 });
    expect(tree.get('lib')).toMatchObject({ type: 'symlink', link: 'usr/lib' });
    expect(await tree.readText('usr/lib/sub/l')).toBe('l\n');
    expect(tree.get('usr/lib/sub')).toMatchObject({ mode: 0o755, uid: 0, gid: 0 });
    expect(tree.get('tmp/t')).toMatchObject({ uid: 7, gid: 8 });
  });

  it('makes folders below one with the setgid bit as mkdir does', async () => {
    execFileSync(
      'sh',
      [
        '-c',
        'mkdir -p g && chmod 2775 g && tar --owner=0 --group=5 --numeric-owner -cf base.tar g && mkdir -p a/b && echo f > a/b/f && tar -cf deep.tar a/b/f',
      ],
      {
        cwd: shop.context,
      },
    );
    const lines = ['ADD base.tar /', 'ADD deep.tar /g/', 'COPY a/b/f /g/new/f', 'COPY --chown=7:8 a/b/f /g/own/f', 'WORKDIR /g/work'];
    const { tree } = await shop.build(`FROM scratch\n${lines.join('\n')}\n`);
    expect(['g/a', 'g/a/b', 'g/new', 'g/own', 'g/work'].map((path) => tree.get(path))).toMatchObject([
      { mode: 0o2755, uid: 0, gid: 0 },
      { mode: 0o2755, uid: 0, gid: 0 },
      { mode: 0o2755, uid: 0, gid: 5 },
      { mode: 0o2755, uid: 7, gid: 8 },
      { mode: 0o2755, uid: 0, gid: 5 },
    ]);
  });

  it('never writes outside, and fails for a damaged one', async () => {
    const script =
      'import tarfile,io,sys\nt=tarfile.open(sys.argv[1],"w")\nfor n in ["../../up","/abs","a/../../b"]:\n  i=tarfile.TarInfo(n); i.size=1; t.addfile(i,io.BytesIO(b"x"))\nt.close()';
    execFileSync('python3', ['-c', script, join(shop.context, 'evil.tar')]);
    expect(Object.keys(await show((await shop.build('FROM scratch\nADD evil.tar /in/\n')).tree))).toEqual(['in/abs', 'in/b', 'in/up']);
    archive('cut.tar.gz', ['-z']);
    execFileSync('sh', ['-c', 'head -c 80 cut.tar.gz > short.tar.gz'], { cwd: shop.context });
    expect((await thrown(shop.build('FROM scratch\nADD short.tar.gz /\n'))).message).toContain('failed to unpack short.tar.gz');
  });
});

describe('ADD of URLs', () => {
  let server: Server;
  let base: string;
  let requests: Array<string | undefined>;
  const body = 'content';
  const digest = createHash('sha256').update(body).digest('hex');

  beforeEach(async () => {
    requests = [];
    server = createServer((request, response) => {
      requests.push(request.headers['if-none-match']);
      if (request.url === '/redirect') {
        response.writeHead(302, { location: '/dir/file.txt?x=1' }).end();
      } else if (request.url?.startsWith('/dir/') || request.url?.startsWith('/?')) {
        const fresh = request.headers['if-none-match'] === '"v1"';
        response.writeHead(fresh ? 304 : 200, { etag: '"v1"', 'last-modified': 'Wed, 21 Oct 2015 07:28:00 GMT' }).end(fresh ? '' : body);
      } else {
        response.writeHead(404).end();
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => new Promise((resolve) => server.close(resolve)));

  it("gives a private file with the server's time, asked for again but fetched once", async () => {
    const file = `FROM scratch\nADD ${base}/dir/file.txt /\nADD ${base}/dir/file.txt /name\n`;
    const { tree } = await shop.build(file);
    expect(await show(tree)).toEqual({ 'file.txt': body, name: body });
    expect(tree.get('file.txt')).toMatchObject({ mode: 0o600, uid: 0, mtime: 1445412480 });
    await shop.build(file);
    expect(shop.cached()).toHaveLength(2);
    expect(requests.filter((tag) => tag === undefined)).toHaveLength(1);
  });

  it('checks sums', async () => {
    await shop.build(`FROM scratch\nENV SUM=sha256:${digest}\nADD --checksum=$SUM ${base}/dir/f /\n`);
    const cases: Array<[string, string]> = [
      [`sha256:${'0'.repeat(64)}`, 'digest mismatch'],
      ['md5:00', 'unsupported digest algorithm'],
      ['sha256:00', 'invalid checksum digest length'],
      ['nonsense', 'invalid checksum digest format'],
    ];
    for (const [sum, message] of cases) {
      expect((await thrown(shop.build(`FROM scratch\nADD --checksum=${sum} ${base}/dir/f /\n`))).message).toContain(message);
    }
    shop.file('f');
    expect((await thrown(shop.build(`FROM scratch\nADD --checksum=sha256:${digest} f /\n`))).message).toContain(
      "checksum can't be specified",
    );
    expect((await thrown(shop.build(`FROM scratch\nCOPY --checksum=sha256:${digest} f /\n`))).message).toContain(
      'unknown flag: --checksum',
    );
  });

  it('is named by the last part of its path, also when that ends with a slash, and without one as BuildKit names it', async () => {
    const { tree } = await shop.build(`FROM scratch\nADD ${base}/dir/sub/ /a/\nADD ${base}/?x /b/\nADD ${base}/dir/sub//?x /c/\n`);
    expect(await show(tree)).toEqual({ 'a/sub': body, 'b/__unnamed__': body, 'c/sub': body });
  });

  it('follows redirects, reports the status and hides the query', async () => {
    expect(await show((await shop.build(`FROM scratch\nADD ${base}/redirect /to\n`)).tree)).toEqual({ to: body });
    const error = await thrown(shop.build(`FROM scratch\nADD ${base}/missing?token=hush /x\n`));
    expect(error.message).toBe(`${base}/missing: the server answered with status 404`);
    expect((await thrown(shop.build(`FROM scratch\nADD ${base}/ /x/\n`))).message).toContain('status 404');
  });
});
