import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { indexTar, LayerTree } from '../../../builder/build/layer-tree.ts';
import { writeLayer } from '../../../builder/build/tar-write.ts';
import { toItems } from './fake-machines.ts';
import { show, thrown, Workshop } from './workshop.ts';

let shop: Workshop;
beforeEach(async () => {
  shop = new Workshop();
  await shop.busybox();
});
afterEach(() => shop.close());

const treeOf = async (tar: Buffer) => {
  const path = join(shop.folder, `tar-${Math.random()}`);
  writeFileSync(path, tar);
  return await show(LayerTree.empty.withLayer(await indexTar(path)));
};

describe('RUN', () => {
  it('gives the program its line, environment, user and folder', async () => {
    await shop.build(
      'FROM busybox\nARG a=1 unset\nARG empty=\nENV a=2 b="x y"\nARG c=$b\nWORKDIR /w/d\nUSER daemon:staff\nRUN  echo "$a"  && \\\n  true\nRUN ["a b", "c"]\nSHELL ["/bin/bash", "-ec"]\nRUN x\n',
    );
    expect(shop.machines.runs.map(({ args }) => args)).toEqual([
      ['/bin/sh', '-c', 'echo "$a"  &&   true'],
      ['a b', 'c'],
      ['/bin/bash', '-ec', 'x'],
    ]);
    expect(shop.machines.runs[0]).toMatchObject({ cwd: '/w/d', user: 'daemon:staff', tty: false, stdin: false });
    expect(shop.machines.runs[0]?.env).toEqual(['PATH=/bin', 'a=2', 'b=x y', 'empty=', 'c=x y']);
  });

  it('keeps one machine for a stage and pushes layers made between', async () => {
    shop.file('f', 'text');
    shop.machines.program = ({ args }) => ({ files: { [`out/${args.at(-1)}`]: args.at(-1) ?? '' } });
    const { tree, blob } = await shop.build('FROM busybox\nRUN one\nRUN two\nCOPY f /copied\nCOPY f /twice\nENV a=b\nRUN three\n');
    expect(shop.machines.started).toHaveLength(1);
    const [machine] = shop.machines.started;
    expect(machine?.options).toMatchObject({ network: 'default', root: { path: blob.rootfs.diff_ids[0] } });
    const pushes = await Promise.all((machine?.pushes ?? []).map(async (tar) => (tar ? await treeOf(tar) : undefined)));
    expect(pushes).toEqual([undefined, { copied: 'text' }, { twice: 'text' }]);
    expect(machine?.closed).toBe(true);
    expect(await show(tree, 'out')).toEqual({ 'out/one': 'one', 'out/two': 'two', 'out/three': 'three' });
    expect(blob.rootfs.diff_ids).toHaveLength(6);
  });

  it('starts none when everything is in the cache, and one on the cached layers when not', async () => {
    shop.machines.program = ({ args }) => ({ files: { [args.at(-1) ?? '']: 'x' } });
    await shop.build('FROM busybox\nRUN one\nRUN two\n');
    await shop.build('FROM busybox\nRUN one\nRUN two\n');
    expect(shop.machines.started).toHaveLength(1);
    expect(shop.cached()).toContain('[2/3] RUN one');
    const { blob } = await shop.build('FROM busybox\nRUN one\nRUN three\n');
    expect(shop.machines.started).toHaveLength(2);
    expect(shop.machines.started[1]?.options.root.path).toBe(blob.rootfs.diff_ids.slice(0, 2).join(','));
    expect(shop.machines.started[1]?.runs.map(({ args }) => args.at(-1))).toEqual(['three']);
  });

  it('fails with the place, the exit code and the last ten lines', async () => {
    const output = Array.from({ length: 14 }, (_, index) => `line ${index + 1}\n`).join('');
    shop.machines.program = () => ({ output, code: 3, files: { left: 'over' } });
    const error = await thrown(shop.build('FROM busybox\n\nRUN make \\\n  all\n'));
    expect(error).toMatchObject({
      code: 'BUILD_FAILED',
      message: 'process "/bin/sh -c make   all" did not complete successfully: exit code: 3',
      where: { file: 'Dockerfile', line: 3 },
    });
    expect(error.details).toEqual(Array.from({ length: 10 }, (_, index) => `line ${index + 5}`));
    expect(shop.machines.started[0]?.closed).toBe(true);
    expect(shop.steps().at(-1)).toBe('[2/2] RUN make   all: error');
    shop.machines.program = () => ({});
    await shop.build('FROM busybox\n\nRUN make \\\n  all\n');
    expect(shop.machines.started).toHaveLength(2);
  });

  it('logs output under its step', async () => {
    shop.machines.program = () => ({ output: 'hello\n' });
    await shop.build('FROM busybox AS a\nRUN x\n');
    const vertex = shop.events.find((event) => event.type === 'vertex' && event.name === '[a 2/2] RUN x');
    expect(vertex?.type === 'vertex' && vertex.id).toBeTruthy();
    expect(shop.events.filter((event) => event.type === 'log')).toMatchObject([
      { id: vertex?.type === 'vertex' ? vertex.id : 0, text: 'hello\n', stream: 'stdout' },
    ]);
  });

  it('runs heredocs in their three ways', async () => {
    await shop.build(
      "FROM busybox\nRUN <<EOF\necho $a\n\tb\nEOF\nRUN <<'PY'\n#!/bin/awk -f\nBEGIN\nPY\nRUN cat <<A 3<<-B > /x\none\nA\n\ttwo\n\tB\nRUN <<-X\n\ttabs\n\tX\n",
    );
    const [machine] = shop.machines.started;
    expect(machine?.runs.map(({ args }) => args.at(-1))).toEqual([
      'echo $a\n\tb\n',
      '/dev/pipes/PY',
      'cat <<A 3<<-B > /x\none\nA\ntwo\nB',
      'tabs\n',
    ]);
    expect(machine?.files.map(({ path, content, mode }) => [path, Buffer.from(content).toString(), mode])).toEqual([
      ['/dev/pipes/PY', '#!/bin/awk -f\nBEGIN\n', 0o755],
    ]);
    expect(shop.steps().some((step) => step.startsWith('[2/5] RUN <<EOF (echo $a...)'))).toBe(true);
  });

  it('has networks, security and platforms of its own', async () => {
    await shop.build('FROM busybox\nRUN --network=none a\nRUN --security=insecure b\n');
    expect(shop.machines.started.map(({ options }) => options.network)).toEqual(['none', 'default']);
    expect(shop.machines.runs.map(({ privileged }) => privileged)).toEqual([undefined, true]);
    expect((await thrown(shop.build('FROM busybox\nRUN --network=host a\n'))).message).toContain('--network=host');
    const foreign = process.arch === 'arm64' ? 'linux/amd64' : 'linux/arm64';
    expect((await thrown(shop.build('FROM scratch\nRUN other\n', { platform: foreign }))).code).toBe('IMAGE_PLATFORM');
  });

  it('knows proxies without keeping them', async () => {
    const file = 'FROM busybox\nRUN a\n';
    const first = await shop.build(file, { buildArgs: { HTTP_PROXY: 'http://p:1', other: 'x' } });
    expect(shop.machines.runs[0]?.env).toEqual(['PATH=/bin', 'HTTP_PROXY=http://p:1']);
    const second = await shop.build(file, { buildArgs: { HTTP_PROXY: 'http://p:2' } });
    expect(shop.machines.runs).toHaveLength(1);
    expect(second.imageId).toBe(first.imageId);
    expect(JSON.stringify(first.blob)).not.toContain('http://p');
  });

  it('trusts what the host trusts, outside image and cache', async () => {
    const file = 'FROM busybox\nENV PIP_CERT=/own\nRUN a\n';
    shop.certificates = Buffer.from('AAAA');
    shop.machines.program = () => ({ files: { 'run/hypr/ca-certificates.crt': 'leak', kept: 'x' } });
    const { imageId } = await shop.build(file);
    const [machine] = shop.machines.started;
    expect(machine?.files.map(({ path }) => path)).toEqual(['/run/hypr/ca-certificates.crt']);
    expect(Buffer.from(machine?.files[0]?.content ?? '').toString()).toContain('AAAA');
    expect(machine?.runs[0]?.env).toContain('SSL_CERT_FILE=/run/hypr/ca-certificates.crt');
    expect(machine?.runs[0]?.env.filter((entry) => entry.startsWith('PIP_CERT'))).toEqual(['PIP_CERT=/own']);
    const blob = shop.store.images.get(imageId)?.blob;
    expect(await show(await shop.tree(blob?.rootfs.diff_ids.slice(-1) ?? []))).toEqual({ kept: 'x' });
    expect(JSON.stringify(blob)).not.toContain('SSL_CERT_FILE');
    shop.certificates = undefined;
    expect((await shop.build(file)).imageId).toBe(imageId);
    expect(shop.machines.started).toHaveLength(1);
  });

  it('stops when it is cancelled', async () => {
    const controller = new AbortController();
    shop.machines.program = () => {
      controller.abort();
      return { output: 'x' };
    };
    await expect(shop.build('FROM busybox\nRUN a\nRUN b\n', {}, controller.signal)).rejects.toThrow();
    expect(shop.machines.runs).toHaveLength(1);
    expect(shop.machines.started[0]?.closed).toBe(true);
    expect(shop.steps().at(-1)).toBe('[2/3] RUN a: canceled');
  });
});

describe('RUN --mount', () => {
  it('bind: gives context, stages and single files, and leaves nothing', async () => {
    shop.file('src/a', 'A');
    shop.file('package.json', '{}');
    shop.machines.program = () => ({ files: { 'made/src/a': 'changed', 'made/new': 'x', 'w/package.json': 'changed', 'w/out': 'kept' } });
    const { blob } = await shop.build(
      'FROM scratch AS files\nCOPY src /s\nFROM busybox\nWORKDIR /w\nENV to=/made/src\nRUN --mount=target=$to,source=src --mount=type=bind,source=package.json,target=package.json --mount=from=files,source=/s,dst=/made/stage,rw true\nRUN next\n',
    );
    const [first, second] = shop.machines.started;
    expect(await Promise.all((first?.tars ?? []).map(({ data }) => treeOf(data)))).toEqual([
      { 'made/src/a': 'A' },
      { 'made/stage/a': 'A' },
    ]);
    expect(first?.files.map(({ path }) => path)).toEqual(['/w/package.json']);
    expect(await show(await shop.tree(blob.rootfs.diff_ids.slice(2, 3)))).toEqual({ 'made/new': 'x', 'w/out': 'kept' });
    expect(first?.closed).toBe(true);
    expect(second?.runs.map(({ args }) => args.at(-1))).toEqual(['next']);
  });

  it('bind: its content decides about the cache, not that of other files', async () => {
    shop.file('a', '1');
    shop.file('b', '1');
    const file = 'FROM busybox\nRUN --mount=source=a,target=/in x\n';
    await shop.build(file);
    shop.file('b', '2');
    await shop.build(file);
    expect(shop.machines.runs).toHaveLength(1);
    shop.file('a', '2');
    await shop.build(file);
    expect(shop.machines.runs).toHaveLength(2);
  });

  it('secret: file, variable, required; never in key, layer or config', async () => {
    const file =
      'FROM busybox\nRUN --mount=type=secret,id=mysecret,mode=741,uid=100,gid=102 --mount=type=secret,id=other,env=TOKEN --mount=type=secret,id=missing a\n';
    shop.machines.program = () => ({ files: { 'run/secrets/mysecret': 'leak' } });
    const { blob } = await shop.build(file, { secrets: { mysecret: { value: 'hush' }, other: { value: 'word' } } });
    const [machine] = shop.machines.started;
    expect(machine?.files).toEqual([{ path: '/run/secrets/mysecret', content: Buffer.from('hush'), mode: 0o741, uid: 100, gid: 102 }]);
    expect(machine?.runs[0]?.env).toContain('TOKEN=word');
    expect(await show(await shop.tree(blob.rootfs.diff_ids.slice(-1)))).toEqual({});
    expect(JSON.stringify([blob, shop.events])).not.toMatch(/hush|word/);
    await shop.build(file, { secrets: { mysecret: { value: 'changed' } } });
    expect(shop.machines.runs).toHaveLength(1);
    const missing = await thrown(shop.build('FROM busybox\nRUN --mount=type=secret,required,id=mysecret a\n'));
    expect(missing.message).toBe('secret mysecret: not found');
  });

  it('cache: comes back in the next build, shared by target, and is in no layer', async () => {
    shop.machines.program = () => ({ files: { 'root/.cache/pip/x': 'x', done: 'y' } });
    // Guests name what they send as docker's archives do: beginning with the folder's own name.
    shop.machines.readTar = (path) => writeLayer(toItems({ [`${path.split('/').at(-1)}/x`]: 'cached' }));
    const { blob } = await shop.build('FROM busybox\nRUN --mount=type=cache,target=/root/.cache/pip,uid=7,mode=0700 a\n');
    expect(await show(await shop.tree(blob.rootfs.diff_ids.slice(-1)))).toEqual({ done: 'y' });
    await shop.build('FROM busybox\nRUN --mount=type=cache,target=/root/.cache/pip b\nRUN --mount=type=cache,target=/other c\n');
    const tars = shop.machines.started.map(({ tars }) => tars[0]?.data ?? Buffer.alloc(0));
    expect(await Promise.all(tars.map(treeOf))).toEqual([{ 'root/.cache/pip/': '' }, { 'root/.cache/pip/': '' }, { 'other/': '' }]);
    expect(await treeOf(shop.machines.started[1]?.tars[1]?.data ?? Buffer.alloc(0))).toEqual({ 'root/.cache/pip/x': 'cached' });
  });

  it("tmpfs: is the machine's", async () => {
    await shop.build('FROM busybox\nRUN --mount=type=tmpfs,target=/t,size=131072k a\nRUN b\n');
    expect(shop.machines.started.map(({ options }) => options.tmpfs)).toEqual([[{ target: '/t', size: 134_217_728 }], undefined]);
  });

  it('refuses what is not one', async () => {
    const cases: Array<[string, string]> = [
      ['--mont=target=/mytmp', 'unknown flag: --mont (did you mean mount?)'],
      ['--mount=typ=tmpfs,target=/x', "unexpected key 'typ' in 'typ=tmpfs' (did you mean type?)"],
      ['--mount=type=tmp,target=/x', 'unsupported mount type "tmp"'],
      ['--mount=from=$x,target=/x', "'from' doesn't support variable expansion, define alias stage instead"],
      ['--mount=type=cache,target=/', 'invalid mount target "/"'],
      ['--mount=type=bind,target=/x,uid=1', "unexpected key 'uid' for mount type 'bind'"],
    ];
    for (const [flag, message] of cases) {
      const error = await thrown(shop.build(`FROM busybox\nRUN ${flag} x\n`));
      expect([error.code, error.where?.line], flag).toEqual(['DOCKERFILE_SYNTAX', 2]);
      expect(error.message).toContain(message);
    }
  });
});

describe('stages with machines', () => {
  it('run side by side, and waiting for another never blocks it', async () => {
    const shopRuns: string[] = [];
    shop.machines.program = ({ args }) => {
      shopRuns.push(args.at(-1) ?? '');
      return { files: { [args.at(-1) ?? '']: 'x' } };
    };
    const { tree } = await shop.build(
      'FROM busybox AS a\nRUN a1\nFROM busybox AS b\nRUN b1\nCOPY --from=a a1 /from-a\nRUN b2\nFROM busybox\nRUN c1\nCOPY --from=b /from-a /b2 /\nRUN c2\n',
    );
    expect([...shopRuns].sort()).toEqual(['a1', 'b1', 'b2', 'c1', 'c2']);
    expect(Object.keys(await show(tree))).toEqual(expect.arrayContaining(['b2', 'c1', 'c2', 'from-a']));
    expect(shop.machines.started.every(({ closed }) => closed)).toBe(true);
  });

  it('with the same steps run them once and do not block each other', async () => {
    shop.machines.program = ({ args }) => ({ files: { [args.at(-1) ?? '']: 'x' } });
    const stage = 'RUN same1\nRUN same2\nRUN same3\n';
    await shop.build(
      `FROM busybox AS a\n${stage}RUN a\nFROM busybox AS b\n${stage}RUN b\nFROM scratch\nCOPY --from=a a /\nCOPY --from=b b /\n`,
    );
    expect(shop.machines.runs.map(({ args }) => args.at(-1)).sort()).toEqual(['a', 'b', 'same1', 'same2', 'same3']);
  });

  it('wait for mounted stages, by number too', async () => {
    shop.machines.program = ({ args }) => ({ files: { [args.at(-1) ?? '']: 'x' } });
    await shop.build('FROM busybox\nRUN first\nFROM busybox\nRUN second\nRUN --mount=from=0,source=/first,target=/m third\n');
    expect(shop.machines.runs).toHaveLength(3);
  });

  it('a failure cancels the others and is the one reported', async () => {
    mkdirSync(join(shop.context, 'x'));
    shop.machines.program = ({ args }) => ({ code: args.at(-1) === 'bad' ? 1 : 0 });
    const error = await thrown(shop.build('FROM busybox AS a\nRUN bad\nFROM busybox\nRUN good\nCOPY --from=a /x /\nRUN never\n'));
    expect(error.where?.line).toBe(2);
    expect(shop.machines.runs.map(({ args }) => args.at(-1))).not.toContain('never');
    expect(shop.machines.started.every(({ closed }) => closed)).toBe(true);
  });
});
