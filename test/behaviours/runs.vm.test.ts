import { expect } from 'vitest';
import { type Behaviour, testBehaviours } from './behaviour.ts';
import { built, cached, refused } from './made.ts';

const RANDOM = 'head -c 16 /dev/urandom | od -An -tx1';

const apart: readonly Behaviour[] = [
  {
    number: 26,
    name: 'what is made from equal content is cached',
    check: async ({ write, build }) => {
      await write({ foo: 'foo-26' });
      const text = `FROM busybox AS base\nCOPY foo /unused\nRUN echo const > /file\nFROM busybox\nRUN --mount=from=base,source=/file,target=/m ${RANDOM} > /r26\n`;
      const first = built(await build(text));
      await write({ foo: 'foo-26 changed' });
      expect(built(await build(text)).files.r26).toBe(first.files.r26);
    },
  },
  {
    number: 28,
    name: '--no-cache empties cache mounts',
    check: async ({ build }) => {
      const text = 'FROM busybox\nARG N\nRUN --mount=type=cache,target=/c28,mode=0777 touch /c28/$N && ls /c28 | wc -l > /count\n';
      const count = async (n: string, ...args: string[]) => built(await build(text, ['--build-arg', `N=${n}`, ...args])).files.count;
      expect([await count('a'), await count('b'), await count('c', '--no-cache')]).toEqual(['1\n', '2\n', '1\n']);
    },
  },
  {
    number: 30,
    name: 'a cache that is exported and imported',
    check: async ({ dir, build }) => {
      const text = `FROM busybox\nRUN ${RANDOM} > /r30\n`;
      const first = built(await build(text, ['--cache-to', `type=local,dest=${dir}/../cache,mode=max`]));
      const again = built(await build(text, ['--no-cache']));
      expect(again.files.r30).not.toBe(first.files.r30);
      const imported = built(await build(`${text}RUN true\n`, ['--cache-from', `type=local,src=${dir}/../cache`]));
      expect(cached(imported).length).toBeGreaterThan(0);
    },
  },
  {
    number: 41,
    name: 'caches in caches, in two stages at a time',
    check: async ({ build }) => {
      const stage = (name: string) =>
        `FROM busybox AS ${name}\nRUN --mount=type=cache,target=/foo --mount=type=cache,target=/foo/bar --mount=type=cache,target=/foo/bar/baz echo ${name} > /foo/bar/baz/x && echo ${name} > /${name}\n`;
      const result = built(
        await build(`${stage('sub1')}${stage('sub2')}FROM scratch\nCOPY --from=sub1 /sub1 /\nCOPY --from=sub2 /sub2 /\n`),
      );
      expect(result.files).toEqual({ sub1: 'sub1\n', sub2: 'sub2\n' });
    },
  },
  {
    number: 59,
    name: 'a secret that is required and not given',
    check: async ({ build }) => {
      refused(
        await build('FROM busybox\nRUN --mount=type=secret,required,id=mysecret foo\n'),
        'secret mysecret: not found',
        'Dockerfile:2',
      );
    },
  },
];

testBehaviours('behaviours of RUN', apart);
