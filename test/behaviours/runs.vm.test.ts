import { expect } from 'vitest';
import { type Behaviour, testBehaviours } from './behaviour.ts';
import { built, cached, refused } from './made.ts';
import type { Bench, Made } from './workshop.ts';

/** What needs a machine and nothing else, in one build: each RUN leaves its findings in /out. */
const TOGETHER = `FROM busybox AS linked
RUN mkdir /out
ENV SOME_PATH=/some/path TYPE=tmpfs ID=shared
FROM linked AS work
COPY foo /foo
COPY foo /dir/
RUN cat /foo /dir/foo > /out/1
RUN --mount=target=/context [ "$(cat /context/foo)" = foo ] && echo yes > /out/31
RUN --mount=type=tmpfs,target=/scratch touch /scratch/x && mount | grep -c ' /scratch type tmpfs' > /out/32
RUN [ ! -f /scratch/x ] && echo gone >> /out/32
RUN --mount=type=tmpfs,target=/sized,size=131072k df -k /sized | awk 'END { print $2 }' > /out/33
RUN --mount=type=cache,target=/cache35 echo one > /cache35/x
RUN --mount=type=cache,target=/cache35 cat /cache35/x > /out/35
RUN --mount=type=cache,target=/other35 ls /other35 >> /out/35
RUN --mount=type=cache,target=/cache36,uid=1001,gid=1002,mode=0751 stat -c '%u %g %a' /cache36 > /out/36
RUN --mount=type=tmpfs,target=$SOME_PATH mount | grep -c ' /some/path type tmpfs' > /out/37
RUN --mount=type=$TYPE,target=/m38 mount | grep -c ' /m38 type tmpfs' > /out/38
RUN --mount=type=cache,id=$ID,target=/c38 echo stored > /c38/x
RUN --mount=type=cache,id=shared,target=/d38 cat /d38/x >> /out/38
RUN --mount=source=.,target=/tmp/test --mount=source=foo,target=/tmp/single cat /tmp/test/foo /tmp/single > /out/40
RUN echo "$HTTP_PROXY" > /out/45
WORKDIR /tmp
RUN <<EOF
#!/bin/awk -f
BEGIN { print "shebang" > "/out/52" }
EOF
RUN cat <<one && cat <<two > /out/53
first
one
second
two
RUN awk '{print}' /dev/fd/3 /dev/fd/4 3<<IN1 4<<IN2 >> /out/53
three
IN1
four
IN2
RUN --mount=type=secret,id=token,mode=741,uid=100,gid=102,target=/mysecret stat -c '%u %g %a' /mysecret > /out/59
RUN [ ! -e /mysecret ] && echo no stub >> /out/59
RUN --mount=type=secret,id=token,env=TOKEN_TEXT [ "$TOKEN_TEXT" = 'of the host' ] && echo in env >> /out/59
USER daemon
RUN id -u -n > /tmp/60
USER 1:1
RUN id -u >> /tmp/60; id -g >> /tmp/60
USER daemon:www-data
RUN id -g -n >> /tmp/60
USER 4242
RUN id -u >> /tmp/60.b; id -g >> /tmp/60.b
FROM scratch
COPY --from=work /out /
COPY --from=work /tmp/60* /
`;

let made: Promise<Made> | undefined;
const buildTogether = ({ write, build }: Bench): Promise<Made> => {
  made ??= write({ foo: 'foo' }).then(() =>
    build(TOGETHER, ['--build-arg', 'HTTP_PROXY=http://proxy.example', '--secret', 'id=token,env=FROM_HOST']),
  );
  made.catch(() => undefined);
  return made;
};

const found = (number: number, name: string, text: string): Behaviour => ({
  number,
  name,
  check: async (bench) => {
    const result = built(await buildTogether(bench));
    expect(`${result.files[number] ?? 'missing'}${result.files[`${number}.b`] ?? ''}`).toBe(text);
  },
});

const together: readonly Behaviour[] = [
  found(1, 'a RUN sees what was copied', 'foofoo'),
  found(31, 'the context is what a bind mounts', 'yes\n'),
  found(32, 'a tmpfs is gone in the next RUN', '1\ngone\n'),
  found(33, 'the size of a tmpfs', '131072\n'),
  found(35, 'a cache goes by its target', 'one\n'),
  found(36, 'owner and mode of a cache', '1001 1002 751\n'),
  found(37, 'a variable as target', '1\n'),
  found(38, 'variables of the stage below in type and id', '1\nstored\n'),
  found(40, 'two mounts of one context', 'foofoo'),
  found(45, 'a proxy is known to RUN', 'http://proxy.example\n'),
  found(52, 'a heredoc with an interpreter', 'shebang\n'),
  found(53, 'heredocs in a command', 'second\nthree\nfour\n'),
  found(59, 'a secret as file and as variable', '100 102 741\nno stub\nin env\n'),
  found(60, 'USER by name, number and group', 'daemon\n1\n1\nwww-data\n4242\n0\n'),
];

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
    number: 27,
    name: '--no-cache, and of one stage only',
    check: async ({ build }) => {
      const text = `FROM busybox AS s0\nRUN ${RANDOM} > /u0\nFROM busybox AS s1\nRUN ${RANDOM} > /u1\nFROM scratch\nCOPY --from=s0 /u0 /\nCOPY --from=s1 /u1 /\n`;
      const first = built(await build(text)).files;
      const all = built(await build(text, ['--no-cache'])).files;
      expect([all.u0 === first.u0, all.u1 === first.u1]).toEqual([false, false]);
      const one = built(await build(text, ['--no-cache-filter', 's1'])).files;
      expect([one.u0 === all.u0, one.u1 === all.u1]).toEqual([true, false]);
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

testBehaviours('behaviours of RUN', [...together, ...apart]);
