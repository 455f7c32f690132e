import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Behaviour, testBehaviours } from './behaviour.ts';
import { built, cached, refused } from './made.ts';

/** Answers every path with its own text on loopback while `work` runs. */
const withServer = async (work: (url: string) => Promise<void>): Promise<void> => {
  const server = createServer((request, response) => response.end(`content of ${request.url}`));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
};

const digestOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;

const behaviours: readonly Behaviour[] = [
  {
    number: 24,
    name: 'a wildcard looks at what it matches, and at nothing else',
    check: async ({ write, build }) => {
      await write({ foo1: 'foo1-data', foo2: 'foo2-data', bar: 'bar-data' });
      const text = 'FROM scratch\nCOPY foo* /files/\nCOPY bar /files/\n';
      built(await build(text));
      await write({ bar: 'bar-mod' });
      expect(cached(built(await build(text)))).toEqual(['COPY foo* /files/']);
      await write({ foo2: 'foo2-mod' });
      const third = built(await build(text));
      expect(cached(third)).not.toContain('COPY foo* /files/');
      expect(third.files).toEqual({ 'files/foo1': 'foo1-data', 'files/foo2': 'foo2-mod', 'files/bar': 'bar-mod' });
    },
  },
  {
    number: 29,
    name: 'a build made twice has one id',
    check: async ({ dir, write, build }) => {
      await write({ foo: 'foo-29', '.dockerignore': '*.oci' });
      const text = 'FROM scratch\nENV foo=bar\nCOPY foo /\nENV bar=baz\n';
      const made = [];
      for (const name of ['one.oci', 'two.oci']) {
        built(await build(text, ['-o', `type=oci,dest=${join(dir, name)},tar=false`]));
        made.push(await readFile(join(dir, name, 'index.json'), 'utf8'));
      }
      expect(made[0]).toContain('sha256:');
      const digests = made.map((index) => index.match(/sha256:[0-9a-f]{64}/g));
      expect(digests[1]).toEqual(digests[0]);
    },
  },
  {
    number: 34,
    name: 'mounts that are none',
    check: async ({ build }) => {
      const run = (mount: string) => build(`FROM scratch\nRUN --mount=${mount} /bin/true\n`);
      refused(await run('target=/mytmp,typ=tmpfs'), "unexpected key 'typ'", 'did you mean type?', 'Dockerfile:2');
      refused(await run('typ=tmpfs'), "unexpected key 'typ'");
      refused(await run('type=tmp'), 'unsupported mount type "tmp"', 'did you mean tmpfs?');
    },
  },
  {
    number: 39,
    name: 'a variable in from= of a mount',
    check: async ({ build }) => {
      refused(
        await build('FROM scratch\nENV ttt=test\nRUN --mount=from=$ttt,type=cache,target=/tmp ls\n'),
        "'from' doesn't support variable expansion, define alias stage instead",
        'Dockerfile:3',
      );
    },
  },
  {
    number: 55,
    name: 'ADD unpacks archives, and says whose they are',
    check: async ({ dir, write, build }) => {
      await write({ 't/foo': 'inside' });
      for (const [flag, name] of [
        ['-cf', 'a.tar'],
        ['-czf', 'b.tar.gz'],
      ] as const) {
        execFileSync('tar', [flag, join(dir, name), '--owner=7', '--group=8', '-C', join(dir, 't'), 'foo']);
      }
      const made = built(
        await build(
          'FROM scratch\nADD a.tar /plain\nADD b.tar.gz /gz/\nADD *.tar* /both/\nCOPY a.tar /copied\nADD --unpack=false b.tar.gz /kept\nADD --chown=1:2 a.tar /owned/\n',
        ),
      );
      expect(Object.keys(made.files).sort()).toEqual(['both/foo', 'copied', 'gz/foo', 'kept', 'owned/foo', 'plain/foo']);
      expect(made.files['gz/foo']).toBe('inside');
      expect(made.meta['plain/foo']).toMatch(/ 7\/8$/);
      expect(made.meta['owned/foo']).toMatch(/ 1\/2$/);
    },
  },
  {
    number: 56,
    name: 'ADD --checksum',
    check: async ({ write, build }) => {
      await write({ foo: 'foo' });
      await withServer(async (url) => {
        const right = digestOf('content of /foo');
        const wrong = digestOf('something else');
        const add = (checksum: string, env = '') => build(`FROM scratch\n${env}ADD --checksum=${checksum} ${url}/foo /tmp/foo\n`);
        expect(built(await add(right)).files).toEqual({ 'tmp/foo': 'content of /foo' });
        expect(built(await add('${D}', `ENV D=${right}\n`)).files).toEqual({ 'tmp/foo': 'content of /foo' });
        refused(await add(wrong), `digest mismatch ${right}: ${wrong}`, 'Dockerfile:2');
        refused(await add('md5:7e55db001d319a94b0b713529a756623'), 'unsupported digest algorithm', 'md5');
        refused(await add('unknown'), 'unknown');
      });
      refused(await build(`FROM scratch\nADD --checksum=${digestOf('foo')} foo /\n`), "checksum can't be specified for local");
      refused(await build(`FROM scratch\nCOPY --checksum=${digestOf('foo')} foo /\n`), 'unknown flag: --checksum');
    },
  },
  {
    number: 57,
    name: '.dockerignore, and the one of a Dockerfile',
    check: async ({ dir, write, build }) => {
      await write({ foo: 'foo', bar: 'bar', baz: 'baz', bay: 'bay', '.dockerignore': 'ba*\nDockerfile\n!bay\n.dockerignore\n' });
      expect(built(await build('FROM scratch\nCOPY . /\n')).files).toEqual({ foo: 'foo', bay: 'bay' });
      refused(await build('FROM scratch\nCOPY bar /\n'), 'bar', 'excluded by .dockerignore', 'Dockerfile:2');
      await write({ 'own.file': 'FROM scratch\nCOPY . /\n', 'own.file.dockerignore': 'foo\n*.file*\n.docker*\n' });
      const made = built(await build('', ['-f', join(dir, 'own.file')]));
      expect(made.files).toEqual({ bar: 'bar', baz: 'baz', bay: 'bay' });
    },
  },
  {
    number: 60,
    name: 'an error names the lines it is about',
    check: async ({ dir, write, build }) => {
      await mkdir(dir, { recursive: true });
      await write({ foo: 'foo' });
      const missing = await build('FROM scratch\n\nCOPY foo /\n# why\nCOPY foo \\\n  nothing-here \\\n  /dir/\n');
      refused(missing, '"/nothing-here": not found', 'Dockerfile:5', '5 | >>> COPY foo \\', '7 | >>>   /dir/');
      refused(await build('FROM scratch\nENV a=b\nFOOBAR\n'), 'unknown instruction: FOOBAR', 'Dockerfile:3');
      refused(await build('FROM scratch\nENV\n'), 'ENV requires at least one argument', 'Dockerfile:2');
      refused(await build('FROM scratch\nCOPY --from=1 a b\n'), 'invalid stage index 1', 'Dockerfile:2');
      expect(await readFile(join(dir, 'foo'), 'utf8')).toBe('foo');
    },
  },
];

testBehaviours('behaviours of sources', behaviours);
