import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { show, thrown, Workshop } from './workshop.ts';

let shop: Workshop;
beforeEach(async () => {
  shop = new Workshop();
  await shop.busybox();
});
afterEach(() => shop.close());

const configOf = async (lines: string, request = {}) => (await shop.build(lines, request)).blob.config;

describe('the config', () => {
  it('of every instruction', async () => {
    const { blob } = await shop.build(
      [
        'FROM busybox',
        'MAINTAINER me <a@b>',
        'ARG PORTS="3000 4000/udp"',
        'ENV a=1',
        'ENV a=2 b=$a',
        'ENV old value with blanks',
        'LABEL x="y z" q=$a',
        'EXPOSE $PORTS 80-81/TCP',
        'VOLUME /data /more',
        'VOLUME ["/json dir"]',
        'USER $b:staff',
        'STOPSIGNAL SIGUSR1',
        'WORKDIR rel',
        'WORKDIR $old/',
        'HEALTHCHECK --interval=5s --timeout=1m30s --retries=2 CMD curl -f localhost',
        'SHELL ["/bin/bash", "-c"]',
        'ENTRYPOINT entry $a',
        'CMD ["a", "$b"]',
        'ONBUILD RUN later',
      ].join('\n'),
      { labels: { x: 'over', cli: '1' } },
    );
    expect(blob.author).toBe('me <a@b>');
    expect(blob.config).toEqual({
      Env: ['PATH=/bin', 'a=2', 'b=1', 'old=value with blanks'],
      Labels: { x: 'over', q: '2', cli: '1' },
      ExposedPorts: { '3000/tcp': {}, '4000/udp': {}, '80/tcp': {}, '81/tcp': {} },
      Volumes: { '/data': {}, '/more': {}, '/json dir': {} },
      User: '1:staff',
      StopSignal: 'SIGUSR1',
      WorkingDir: '/rel/value with blanks',
      Healthcheck: { Test: ['CMD-SHELL', 'curl -f localhost'], Interval: 5e9, Timeout: 90e9, Retries: 2 },
      Shell: ['/bin/bash', '-c'],
      Entrypoint: ['/bin/bash', '-c', 'entry $a'],
      Cmd: ['a', '$b'],
      ArgsEscaped: true,
      OnBuild: ['RUN later'],
    });
  });

  it('of an empty base', async () => {
    const { blob } = await shop.build('FROM scratch\nENV a=b\n');
    expect(blob.config).toMatchObject({
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'a=b'],
      WorkingDir: '/',
    });
    expect(blob.rootfs.diff_ids).toEqual([]);
  });

  it('ENTRYPOINT takes an inherited CMD away, but not one of its own stage', async () => {
    await shop.image('withcmd', { x: '' }, { Cmd: ['inherited'] });
    expect((await configOf('FROM withcmd\nENTRYPOINT ["e"]\n')).Cmd).toBeUndefined();
    expect((await configOf('FROM withcmd\nCMD ["own"]\nENTRYPOINT ["e"]\n')).Cmd).toEqual(['own']);
    expect((await configOf('FROM withcmd\n')).Cmd).toEqual(['inherited']);
  });

  it.each([
    ['EXPOSE abc', 'invalid containerPort: abc'],
    ['EXPOSE 70000', 'invalid containerPort: 70000'],
    ['STOPSIGNAL SIGNOPE', 'invalid signal: SIGNOPE'],
    ['ENV a=${b:?"need b"}', 'b: need b'],
    ['LABEL a=${b^^}', 'unsupported modifier (^) in substitution'],
  ])('%s is refused where it stands', async (line, message) => {
    const error = await thrown(shop.build(`FROM busybox\n${line}\n`));
    expect(error.message).toContain(message);
    expect(error.where).toEqual({ file: 'Dockerfile', line: 2 });
  });
});

describe('arguments', () => {
  const env = async (file: string, buildArgs: Record<string, string> = {}) => {
    await shop.build(`${file}\nRUN x\n`, { buildArgs });
    return shop.machines.runs.at(-1)?.env.slice(1);
  };

  it('before FROM choose the image and come in when declared', async () => {
    const file = 'ARG tag=nope\nARG other=${tag}-x\nFROM ${tag}\nARG tag\nARG other';
    expect(await env(file, { tag: 'busybox' })).toEqual(['tag=busybox', 'other=busybox-x']);
    expect(await env('ARG a=1\nFROM busybox\nRUN y')).toEqual([]);
  });

  it('a default is only looked at when it is needed', async () => {
    expect(await env('FROM busybox\nARG a=${b:?"b missing"}', { a: '1' })).toEqual(['a=1']);
    expect((await thrown(shop.build('FROM busybox\nARG a=${b:?"b missing"}\n'))).message).toContain('b: b missing');
  });

  it('several on a line, the last of a name counts, unset and empty differ', async () => {
    expect(await env('FROM busybox\nARG a b=1 c="x y"\nENV b=env\nARG d=\nENV e=${d-unset}${a-unset}')).toEqual([
      'c=x y',
      'b=env',
      'd=',
      'e=unset',
    ]);
  });

  it('after ENV, or of a name that the image has, take effect in steps and not in the image', async () => {
    await shop.image('withenv', { x: '' }, { Env: ['PATH=/bin', 'x=image'] });
    const file = 'FROM withenv AS a\nARG x=arg\nENV y=$x\nARG y\nFROM a\nENV z=$x\nARG z=own\nENV z=$z-env\nRUN x\n';
    const { blob } = await shop.build(file);
    expect(shop.machines.runs.at(-1)?.env).toEqual(['PATH=/bin', 'x=arg', 'y=arg', 'z=own-env']);
    expect(blob.config.Env).toEqual(['PATH=/bin', 'x=image', 'y=arg', 'z=own-env']);
    const given = await shop.build(file, { buildArgs: { y: 'given' } });
    expect(shop.machines.runs.at(-1)?.env).toContain('y=given');
    expect(given.blob.config.Env).toContain('y=arg');
  });

  it('from before FROM are in the history with their value', async () => {
    const { blob } = await shop.build('ARG a=1\nFROM busybox\nARG a none b=2\n');
    expect(blob.history?.at(-1)?.created_by).toBe('ARG a=1 none b=2');
  });

  it('are inherited from stages, with platforms predefined', async () => {
    expect(await env('FROM busybox AS a\nARG x=1\nENV y=2\nFROM a\nARG TARGETARCH TARGETSTAGE', { TARGETARCH: 'any' })).toEqual([
      'x=1',
      'y=2',
      'TARGETARCH=any',
      'TARGETSTAGE=default',
    ]);
  });

  it('tell a misspelt one in FROM', async () => {
    const error = await thrown(shop.build('ARG base=busybox\nFROM $bsae\n'));
    expect(error).toMatchObject({ code: 'DOCKERFILE_SYNTAX', where: { line: 2 } });
    expect(shop.events).toContainEqual(
      expect.objectContaining({
        type: 'warning',
        message: "UndefinedArgInFrom: FROM argument 'bsae' is not declared (did you mean base?)",
      }),
    );
  });
});

describe('ONBUILD', () => {
  it('runs what an image or stage has left, once', async () => {
    await shop.image('trigger', { 'etc/passwd': '' }, { OnBuild: ['RUN first', 'COPY f /from-image', 'ENV on=build'] });
    shop.file('f', 'x');
    const { tree, blob } = await shop.build('FROM trigger AS a\nONBUILD RUN second\nRUN third\nFROM a\nRUN fourth\n');
    expect(shop.machines.runs.map(({ args }) => args.at(-1))).toEqual(['first', 'third', 'second', 'fourth']);
    expect(await show(tree, 'from-image')).toEqual({});
    expect(tree.get('from-image')?.type).toBe('file');
    expect(blob.config.OnBuild).toBeUndefined();
    expect(blob.config.Env).toContain('on=build');
    expect(shop.steps()).toContain('[a 2/4] RUN first: done');
  });

  it('blames the FROM line', async () => {
    await shop.image('trigger', { x: '' }, { OnBuild: ['COPY missing /'] });
    expect((await thrown(shop.build('\n\nFROM trigger\n'))).where?.line).toBe(3);
  });
});

describe('WORKDIR', () => {
  it('makes folders that belong to the user, and leaves existing ones', async () => {
    const { tree, blob } = await shop.build('FROM busybox\nUSER daemon\nWORKDIR /a/b\nWORKDIR ../c\nWORKDIR /tmp\nWORKDIR /\n');
    expect(['a', 'a/b', 'a/c', 'tmp'].map((path) => [path, tree.get(path)?.uid, tree.get(path)?.gid])).toEqual([
      ['a', 1, 2],
      ['a/b', 1, 2],
      ['a/c', 1, 2],
      ['tmp', 0, 0],
    ]);
    // A layer for each but the last, as in BuildKit, also where nothing had to be made.
    expect(blob.rootfs.diff_ids).toHaveLength(4);
    expect(blob.history?.map(({ created_by, empty_layer }) => `${created_by}${empty_layer ? ' -' : ''}`).slice(2)).toEqual([
      'WORKDIR /a/b',
      'WORKDIR /a/c',
      'WORKDIR /tmp',
      'WORKDIR / -',
    ]);
    expect(blob.config.WorkingDir).toBe('/');
  });
});

describe('values of docker 26.1 with BuildKit 0.13', () => {
  it.each([
    ['/w/../v', '/w/../v'],
    ['/x/', '/x/'],
    ['rel/../other', '/other'],
    ['.', '/'],
  ])('WORKDIR %s is %s in the config', async (value, shown) => {
    const { blob } = await shop.build(`FROM busybox\nWORKDIR ${value}\nRUN a\n`);
    expect(blob.config.WorkingDir).toBe(shown);
    expect(shop.machines.runs.at(-1)?.cwd).toBe({ '/w/../v': '/v', '/x/': '/x' }[value] ?? shown);
  });

  it('an ARG that is declared twice is twice in the history of a RUN', async () => {
    const { blob } = await shop.build('FROM busybox\nARG A=1\nARG A=2\nRUN a\n');
    expect(blob.history?.at(-1)?.created_by).toBe('RUN |2 A=2 A=2 /bin/sh -c a # buildkit');
  });

  it('an empty CMD or ENTRYPOINT is none, and ENTRYPOINT says nothing of ArgsEscaped', async () => {
    await shop.image('with', { 'bin/sh': 'sh' }, { Cmd: ['a'], Entrypoint: ['b'] });
    expect((await shop.build('FROM with\nCMD []\nENTRYPOINT []\n')).blob.config).toEqual({
      Env: ['PATH=/bin'],
      ArgsEscaped: true,
    });
    expect((await shop.build('FROM busybox\nENTRYPOINT ["e"]\n')).blob.config).not.toHaveProperty('ArgsEscaped');
  });
});

describe('history', () => {
  it('says what BuildKit says', async () => {
    shop.file('f', 'x');
    const { blob } = await shop.build(
      'FROM busybox\nARG foo=bar\nARG unset\nENV a=b c="d e"\nRUN ls\nWORKDIR /w\nCOPY --chown=1:1 f /x/\nCOPY --link f rel/\nCOPY nothing* /\nCOPY <<EOF /h\nEOF\nHEALTHCHECK --timeout=1m30s --start-period=100ms --retries=10 CMD x "y"\nHEALTHCHECK NONE\nEXPOSE 80\nCMD ["x", "y"]\nUSER u\nVOLUME /v /w\n',
      { buildArgs: { foo: 'bar2' } },
    );
    expect(blob.history?.map(({ created_by, empty_layer }) => `${created_by}${empty_layer ? ' -' : ''}`)).toEqual([
      'base',
      'ARG foo=bar2 -',
      'ARG unset -',
      'ENV a=b c=d e -',
      'RUN |2 foo=bar2 unset= /bin/sh -c ls # buildkit',
      'WORKDIR /w',
      'COPY --chown=1:1 f /x/ # buildkit',
      'COPY f rel/ # buildkit',
      'COPY nothing* / # buildkit',
      'COPY <<EOF /h # buildkit',
      'HEALTHCHECK &{["CMD-SHELL" "x \\"y\\""] "0s" "1m30s" "100ms" "0s" \'\\n\'} -',
      'HEALTHCHECK &{["NONE"] "0s" "0s" "0s" "0s" \'\\x00\'} -',
      'EXPOSE map[80/tcp:{}] -',
      'CMD ["x" "y"] -',
      'USER u -',
      'VOLUME [/v /w] -',
    ]);
    expect(blob.history?.slice(1).every(({ comment, created }) => comment === 'buildkit.dockerfile.v0' && created !== undefined)).toBe(
      true,
    );
    expect(blob.history?.filter(({ empty_layer }) => !empty_layer)).toHaveLength(blob.rootfs.diff_ids.length);
  });
});

describe('events', () => {
  it("are in BuildKit's words", async () => {
    shop.file('.dockerignore', 'x');
    shop.file('f');
    await shop.build('FROM busybox AS base\nFROM base AS web\nARG dir=/target\nCOPY f ${dir}/$nope\nRUN make\n', { target: 'web' });
    expect(shop.steps().map((step) => step.replace(/@sha256:[0-9a-f]+/, '@D'))).toEqual([
      '[internal] load build definition from Dockerfile: done',
      '[internal] load metadata for docker.io/library/busybox:latest: done',
      '[base 1/1] FROM docker.io/library/busybox:latest@D: cached',
      '[internal] load .dockerignore: done',
      '[internal] load build context: done',
      '[web 1/2] COPY f /target/$nope: done',
      '[web 2/2] RUN make: done',
      'exporting to image: done',
    ]);
    const ids = shop.events.flatMap((event) => (event.type === 'vertex' && event.state === 'started' ? event.id : []));
    expect(ids).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('pads numbers', async () => {
    shop.file('f');
    await shop.build(`FROM busybox\n${'COPY f /\n'.repeat(10)}`);
    expect(shop.steps()).toContain('[ 2/11] COPY f /: done');
  });
});

describe('what cannot be built', () => {
  it.each([
    ['FROM busybox AS a\nFROM a\n', { target: 'bb' }, 'target stage "bb" could not be found'],
    ['FROM busybox AS build\n', { target: 'bulid' }, '(did you mean build?)'],
    ['FROM busybox\nCOPY --from=nope f /\n', {}, 'no image nope'],
    ['FROM busybox\nADD https://h/r.git?what=1 /\n', {}, 'unexpected query "what"'],
    ['FROM busybox\nCOPY https://example.org/x /\n', {}, "source can't be a URL for COPY"],
    ['FROM busybox\nRUN --mount=type=bind,source=nope,target=/x y\n', {}, 'not found'],
    ['FROM ${none}\n', {}, 'should not be blank'],
    ['RUN x\n', {}, 'no build stage in current context'],
  ])('%j', async (file, request, message) => {
    expect((await thrown(shop.build(file, request))).message).toContain(message);
  });

  it('no Dockerfile, no context', async () => {
    const missing = await thrown(shop.build('', { dockerfile: { path: `${shop.context}/Dockerfile` } }));
    expect(missing).toMatchObject({ code: 'DOCKERFILE_NOT_FOUND' });
    const gone = await thrown(shop.build('FROM scratch\nCOPY a /\n', { context: `${shop.context}/gone` }));
    expect(gone).toMatchObject({ code: 'DOCKERFILE_NOT_FOUND' });
  });
});
