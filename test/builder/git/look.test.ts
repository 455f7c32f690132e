import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkBuild, describeTargets, outlineBuild } from '../../../builder/build.ts';
import type { BuildRequest } from '../../../builder/model/types.ts';
import { PLAIN_REQUEST, thrown, Workshop } from '../solver/workshop.ts';
import { GitServer } from './git-server.ts';

const FILE = 'FROM scratch AS one\nARG LEVEL=3\nCOPY kept /\nfrom scratch as two\n';

describe('--call and --check of contexts that are no folders', () => {
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

  const request = (extra: Partial<BuildRequest>): BuildRequest => ({
    ...PLAIN_REQUEST,
    context: '-',
    ...extra,
  });
  const look = () => ({ buildFolder: join(shop.folder, 'build'), signal: new AbortController().signal });
  /** Everything that can be asked, of what gives the context anew each time. */
  const ask = async (make: () => Partial<BuildRequest>) => {
    const asked: string[] = [];
    const findImage = (name: string) => {
      asked.push(name);
      return Promise.resolve(undefined);
    };
    const targets = await describeTargets(request(make()), look());
    const outline = await outlineBuild(request({ target: 'one', ...make() }), look());
    const check = await checkBuild(request(make()), { ...look(), findImage });
    const tmp = join(shop.folder, 'build', 'tmp');
    return {
      targets: targets.targets.map(({ name }) => name),
      args: outline.args?.map(({ name, value }) => `${name}=${value}`),
      findings: check.findings.map(({ rule, line }) => `${check.file}:${line} ${rule}`),
      asked,
      left: existsSync(tmp) ? readdirSync(tmp) : [],
    };
  };
  const answer = (file: string) => ({
    targets: ['one', 'two'],
    args: ['LEVEL=3'],
    findings: [`${file}:4 ConsistentInstructionCasing`],
    asked: ['scratch', 'scratch'],
    left: [],
  });
  const tar = () => {
    const from = join(shop.folder, 'tree');
    mkdirSync(join(from, 'sub'), { recursive: true });
    writeFileSync(join(from, 'sub', 'File'), FILE);
    // Not looked for in what is fetched.
    writeFileSync(join(from, '.dockerignore'), 'kept\n');
    execFileSync('tar', ['-czf', join(shop.folder, 'c.tar.gz'), '-C', from, '.']);
    return readFileSync(join(shop.folder, 'c.tar.gz'));
  };

  it('a repository, with its folders, commits and credentials', async () => {
    server.authorization = `basic ${Buffer.from('x-access-token:t0ken').toString('base64')}`;
    server.commit('r', { 'sub/Dockerfile': FILE, '.dockerignore': 'kept\n' });
    const secrets = { GIT_AUTH_TOKEN: { value: 't0ken' } };
    const context = `${server.url}/r.git#main:sub`;
    expect(await ask(() => ({ context, secrets }))).toEqual(answer('Dockerfile'));
    expect((await thrown(describeTargets(request({ context }), look()))).code).toBe('BUILD_FAILED');
    const none = await thrown(outlineBuild(request({ context, secrets, dockerfile: { path: 'none' } }), look()));
    expect(none.code).toBe('DOCKERFILE_NOT_FOUND');
    expect(readdirSync(join(shop.folder, 'build', 'tmp'))).toEqual([]);
    // The Dockerfile is given: nothing is fetched.
    const before = server.requests.length;
    expect(await ask(() => ({ context, dockerfile: { text: FILE, name: 'Given' } }))).toEqual(answer('Given'));
    expect(server.requests).toHaveLength(before);
  });

  it('a tar and a Dockerfile of a URL', async () => {
    const bodies = new Map<string, Buffer>([
      ['/c.tar.gz', tar()],
      ['/Dockerfile', Buffer.from(FILE)],
    ]);
    const web = createServer((asked, response) =>
      response.writeHead(bodies.has(asked.url ?? '') ? 200 : 404).end(bodies.get(asked.url ?? '')),
    );
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    const at = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
    try {
      expect(await ask(() => ({ context: `${at}/c.tar.gz`, dockerfile: { path: 'sub/File' } }))).toEqual(answer('File'));
      expect(await ask(() => ({ context: `${at}/Dockerfile` }))).toEqual(answer('Dockerfile'));
      expect((await thrown(describeTargets(request({ context: `${at}/none` }), look()))).message).toContain('status 404');
    } finally {
      await new Promise((resolve) => web.close(resolve));
    }
  });

  it('a tar and a Dockerfile on standard input', async () => {
    const data = tar();
    const file = { path: 'sub/File' };
    expect(await ask(() => ({ stdin: Readable.from([data]), dockerfile: file }))).toEqual(answer('File'));
    expect(await ask(() => ({ stdin: Readable.from([Buffer.from(FILE)]) }))).toEqual(answer('Dockerfile'));
  });

  it('a base that is a named context is not looked for in the store', async () => {
    const additionalContexts = { Base: 'oci-layout:///x' };
    const stdin = () => Readable.from([Buffer.from('FROM base\n')]);
    expect((await ask(() => ({ stdin: stdin(), additionalContexts, target: '0' }))).asked).toEqual([]);
  });
});
