import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BuildRequest, FailedStep } from '../../../builder/model/types.ts';
import { indexTar, LayerTree } from '../../../builder/solver/layer/layer-tree.ts';
import type { RunResult } from './fake-machines.ts';
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
    expect(shop.machines.runs[0]?.env).toEqual(['PATH=/bin', 'empty=', 'a=2', 'b=x y', 'c=x y']);
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

  it('names are resolved as before after COPY of resolv.conf and hosts, which are in the image', async () => {
    shop.file('f', 'text');
    const { tree } = await shop.build('FROM busybox\nRUN one\nCOPY f /etc/resolv.conf\nCOPY f /etc/hosts\nCOPY f /etc/hostname\nRUN two\n');
    const pushes = await Promise.all((shop.machines.started[0]?.pushes ?? []).map(async (tar) => (tar ? await treeOf(tar) : undefined)));
    expect(pushes).toEqual([{ 'etc/': '' }, { 'etc/': '' }, { 'etc/': '' }]);
    expect(await show(tree, 'etc')).toMatchObject({ 'etc/resolv.conf': 'text', 'etc/hosts': 'text', 'etc/hostname': 'text' });
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
    expect(error.details).toEqual([
      'Dockerfile:3',
      '--------------------',
      '   1 |     FROM busybox',
      '   2 |',
      '   3 | >>> RUN make \\',
      '   4 | >>>   all',
      '--------------------',
      ...Array.from({ length: 10 }, (_, index) => `line ${index + 5}`),
    ]);
    expect(shop.machines.started[0]?.closed).toBe(true);
    expect(shop.steps().at(-1)).toBe('[2/2] RUN make   all: error');
    shop.machines.program = () => ({});
    await shop.build('FROM busybox\n\nRUN make \\\n  all\n');
    expect(shop.machines.started).toHaveLength(2);
  });

  it('says which limit a step met, and how to raise it', async () => {
    const failure = async (result: RunResult, request: Partial<BuildRequest> = {}) => {
      shop.machines.program = () => result;
      const { message, hint } = await thrown(shop.build('FROM busybox\nRUN x\n', request));
      return [message.replace(/.*exit code: /, ''), hint];
    };
    expect(await failure({ code: 2 })).toEqual(['2', 'for a shell where it failed: hypr build --debug']);
    expect(await failure({ code: 1, oomKilled: true })).toEqual([
      '1: the build machine ran out of memory (2048 MiB)',
      'give it more: hypr build --memory 4g (or HYPR_BUILD_MEMORY)',
    ]);
    expect(await failure({ code: 1, disk: { diskFree: 0, diskTotal: 1e9 } })).toEqual([
      '1: the disk of the build machine is full (65536 MiB)',
      'give it a larger one: hypr build --disk 128g (or HYPR_BUILD_DISK)',
    ]);
    expect(await failure({ endless: true }, { limits: { stepTimeout: 20, ulimits: { nofile: { soft: 5, hard: 6 } } } })).toEqual([
      '137: it took longer than the 0.02 s that a step may take',
      'give steps more time: hypr build --timeout 1h',
    ]);
    expect(shop.machines.runs.at(-1)?.limits).toEqual({ nofile: { soft: 5, hard: 6 } });
  });

  it('shows a failed step to whoever wants to look, its machine still there', async () => {
    shop.machines.program = () => ({ code: 1 });
    const seen: FailedStep[] = [];
    shop.onFailedStep = (step) => {
      expect(shop.machines.started[0]?.closed).toBe(false);
      seen.push(step);
    };
    await thrown(shop.build('FROM busybox\nSHELL ["/bin/bash", "-ec"]\nRUN --mount=type=tmpfs,target=/t x\n'));
    expect(seen).toMatchObject([{ shell: ['/bin/bash'], process: { cwd: '/', mounts: [{ kind: 'tmpfs' }] } }]);
    expect(shop.machines.started[0]?.closed).toBe(true);
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
      'cat <<A 3<<-B > /x\none\nA\n\ttwo\nB',
      'tabs\n',
    ]);
    expect(machine?.runs.map(({ mounts }) => mounts)).toEqual([
      [],
      [{ kind: 'file', target: '/dev/pipes/PY', content: Buffer.from('#!/bin/awk -f\nBEGIN\n'), mode: 0o755, uid: 0, gid: 0 }],
      [],
      [],
    ]);
    expect(shop.steps().some((step) => step.startsWith('[2/5] RUN <<EOF (echo $a...)'))).toBe(true);
  });

  it.each([
    ['RUN << EOF\nbody\nEOF', 'body\n'],
    ["RUN <<  'my end'\nbody\nmy end", 'body\n'],
    ['RUN cat << EOF > /x\nb\nEOF', 'cat << EOF > /x\nb\nEOF'],
    ['RUN echo 1 << 2', undefined],
  ])('blanks after the sign of a heredoc: %j', async (text, script) => {
    if (script === undefined) {
      expect((await thrown(shop.build(`FROM busybox\n${text}\n`))).message).toContain('unterminated heredoc');
      return;
    }
    await shop.build(`FROM busybox\n${text}\n`);
    expect(shop.machines.runs[0]?.args.at(-1)).toBe(script);
  });

  it('has networks, security and platforms of its own', async () => {
    await shop.build('FROM busybox\nRUN --network=none a\nRUN --security=insecure b\n');
    // One machine: a step without network gets a namespace of its own.
    expect(shop.machines.started.map(({ options }) => options.network)).toEqual(['default']);
    expect(shop.machines.runs.map(({ privileged, isolated }) => [privileged, isolated])).toEqual([
      [undefined, true],
      [true, undefined],
    ]);
    expect((await thrown(shop.build('FROM busybox\nRUN --network=host a\n'))).message).toContain('--network=host');
    const foreign = process.arch === 'arm64' ? 'linux/amd64' : 'linux/arm64';
    expect((await thrown(shop.build('FROM scratch\nRUN other\n', { platform: foreign }))).code).toBe('IMAGE_PLATFORM');
  });

  it('knows proxies without keeping them', async () => {
    const file = 'FROM busybox\nRUN a\n';
    const first = await shop.build(file, { buildArgs: { HTTP_PROXY: 'http://p:1', other: 'x' } });
    expect(shop.machines.runs[0]?.env).toEqual(['PATH=/bin', 'HTTP_PROXY=http://p:1', 'http_proxy=http://p:1']);
    const second = await shop.build(file, { buildArgs: { HTTP_PROXY: 'http://p:2' } });
    expect(shop.machines.runs).toHaveLength(1);
    expect(second.imageId).toBe(first.imageId);
    expect(JSON.stringify(first.blob)).not.toContain('http://p');
    await shop.build('FROM busybox\nENV no_proxy=image\nRUN b\n', {
      buildArgs: { No_Proxy: 'x', ALL_PROXY: 'upper', all_proxy: 'lower', FTP_PROXY: '' },
    });
    expect(shop.machines.runs[1]?.env.slice(1)).toEqual(['NO_PROXY=x', 'no_proxy=x', 'ALL_PROXY=lower', 'all_proxy=lower']);
  });

  it('names the RUN that asked for a host it may not reach, and the setting', async () => {
    shop.machines.program = ({ args }, machine) => {
      machine.options.proxy?.onRefused(`${args.at(-1)}.example:443`);
      return {};
    };
    await shop.build('FROM busybox\nRUN one\n\nRUN two\n', { network: 'proxy' });
    const warnings = shop.events.flatMap((event) => (event.type === 'warning' ? [[event.line, event.message]] : []));
    const text = 'it is not on the list of allowed hosts (HYPR_BUILD_PROXY_ALLOW adds to it)';
    expect(warnings).toEqual([
      [2, `the proxy of this build refused one.example:443: ${text}`],
      [4, `the proxy of this build refused two.example:443: ${text}`],
    ]);
  });

  it('says how a step that failed for want of a host gets to it', async () => {
    shop.machines.program = ({ args }, machine) => {
      const [, host, code] = /^(\S+) (\d)$/.exec(args.at(-1) ?? '') ?? [];
      machine.options.proxy?.onRefused(host ?? '');
      return { code: Number(code) };
    };
    const file = 'FROM busybox\nRUN near.example:80 0\nRUN far.example:8443 1\n';
    const request = { network: 'proxy', proxyAllow: ['.own.example'] } as const;
    expect((await thrown(shop.build(file, request))).hint).toBe(
      'let the proxy reach what it asked for: HYPR_BUILD_PROXY_ALLOW=.own.example,far.example:8443\nfor a shell where it failed: hypr build --debug',
    );
    expect((await thrown(shop.build('FROM busybox\nRUN far.example:443 2\n', { network: 'proxy' }))).hint).toMatch(
      /HYPR_BUILD_PROXY_ALLOW=far\.example\n/,
    );
  });

  describe('what the host trusts beyond plain systems', () => {
    const STORE = 'etc/ssl/certs/ca-certificates.crt';
    beforeEach(() => {
      shop.certificates = { bundle: Buffer.from('ALL\n'), own: Buffer.from('OWN\n') };
    });
    const topLayer = async (imageId: string) => {
      const blob = shop.store.images.get(imageId)?.blob;
      return await show(await shop.tree(blob?.rootfs.diff_ids.slice(-1) ?? []));
    };

    it('is in the stores of the root, below what steps write, and in variables of programs that do not read them; not in image or cache', async () => {
      const file = 'FROM busybox\nENV PIP_CERT=/own\nRUN pip install a\nRUN env\n';
      shop.machines.program = () => ({ files: { 'run/hypr/ca-certificates.crt': 'leak', kept: 'x' } });
      const { imageId } = await shop.build(file);
      const [machine] = shop.machines.started;
      expect(machine?.files.map(({ path, append }) => [path, append])).toEqual([
        ['/run/hypr/ca-certificates.crt', undefined],
        ['/etc/ssl/certs/ca-certificates.crt', true],
        ['/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem', true],
        ['/var/lib/ca-certificates/ca-bundle.pem', true],
      ]);
      expect(machine?.files.map(({ content }) => Buffer.from(content).toString())).toEqual(['ALL\n', 'OWN\n', 'OWN\n', 'OWN\n']);
      // One layer with the stores, one with what the first step left.
      expect(machine?.pushes).toEqual([undefined, undefined]);
      expect(machine?.runs[0]?.env).toEqual([
        'PATH=/bin',
        'PIP_CERT=/own',
        'SSL_CERT_FILE=/run/hypr/ca-certificates.crt',
        'REQUESTS_CA_BUNDLE=/run/hypr/ca-certificates.crt',
      ]);
      expect(machine?.runs[1]?.env).toEqual(['PATH=/bin', 'PIP_CERT=/own']);
      expect(await topLayer(imageId)).toEqual({ kept: 'x' });
      expect(JSON.stringify(shop.store.images.get(imageId)?.blob)).not.toContain('SSL_CERT_FILE');
      shop.certificates = undefined;
      expect((await shop.build(file)).imageId).toBe(imageId);
      expect(shop.machines.started).toHaveLength(1);
    });

    it('is taken out of a store that a step has written, and is in it again for the next', async () => {
      shop.machines.program = ({ args }) =>
        args.includes('update') ? { files: { [STORE]: 'A\nOWN\nB\n', 'a/copy': 'OWN\n' } } : { files: { done: 'x' } };
      const { imageId } = await shop.build('FROM busybox\nRUN ["update"]\n');
      expect(await topLayer(imageId)).toEqual({ [STORE]: 'A\nB\n', 'a/copy': 'OWN\n' });
      await shop.build('FROM busybox\nRUN ["update"]\nRUN ["one"]\nRUN ["two"]\n', { noCache: true });
      expect(shop.machines.started[1]?.files.filter(({ path }) => path === `/${STORE}`)).toHaveLength(2);
    });

    it('is in the store again after a COPY of one, and after a stage of other layers had the machine', async () => {
      shop.file('bundle', 'mine\n');
      await shop.build(`FROM busybox\nRUN ["one"]\nCOPY bundle /${STORE}\nRUN ["two"]\nCOPY bundle /other\nRUN ["three"]\n`);
      expect(shop.machines.started[0]?.files.filter(({ path }) => path === `/${STORE}`)).toHaveLength(2);
    });
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
    const { blob } = await shop.build(
      'FROM scratch AS files\nCOPY src /s\nFROM busybox\nWORKDIR /w\nENV to=/made/src\nRUN --mount=target=$to,source=src --mount=type=bind,source=package.json,target=package.json --mount=from=files,source=/s,dst=/made/stage,rw true\nRUN next\n',
    );
    const [machine] = shop.machines.started;
    const [folder = '', file = ''] = machine?.staged.keys() ?? [];
    expect(await Promise.all([...(machine?.staged.values() ?? [])].map(treeOf))).toEqual([{ 'c/a': 'A' }, { c: '{}' }]);
    const disk = machine?.plugged[0]?.serial;
    expect(machine?.runs[0]?.mounts).toEqual([
      { kind: 'bind', target: '/made/src', readOnly: true, content: { staged: folder, path: '/c' } },
      { kind: 'bind', target: '/made/stage', readOnly: false, content: { disk, path: '/s' } },
      { kind: 'bind', target: '/w/package.json', readOnly: true, content: { staged: file, path: '/c' } },
    ]);
    expect(machine?.released).toEqual([[]]);
    expect(machine?.runs[1]).toMatchObject({ args: ['/bin/sh', '-c', 'next'], mounts: [] });
    expect(shop.machines.started).toHaveLength(1);
    expect(blob.rootfs.diff_ids.length).toBeGreaterThan(0);
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
    const { blob } = await shop.build(file, { secrets: { mysecret: { value: 'hush' }, other: { value: 'word' } } });
    const [machine] = shop.machines.started;
    expect(machine?.files).toEqual([]);
    expect(machine?.runs[0]?.mounts).toEqual([
      { kind: 'file', target: '/run/secrets/mysecret', content: Buffer.from('hush'), mode: 0o741, uid: 100, gid: 102 },
    ]);
    expect(machine?.runs[0]?.env).toContain('TOKEN=word');
    expect(await show(await shop.tree(blob.rootfs.diff_ids.slice(-1)))).toEqual({});
    expect(JSON.stringify([blob, shop.events])).not.toMatch(/hush|word/);
    await shop.build(file, { secrets: { mysecret: { value: 'changed' } } });
    expect(shop.machines.runs).toHaveLength(1);
    const missing = await thrown(shop.build('FROM busybox\nRUN --mount=type=secret,required,id=mysecret a\n'));
    expect(missing.message).toBe('secret mysecret: not found');
  });

  it('cache: a disk by id and beginning, for one step at a time', async () => {
    const disks: string[][] = [];
    shop.machines.program = (_spec, machine) => {
      disks.push(machine.plugged.map(({ path }) => basename(path)));
      return {};
    };
    const mounts = ['target=/a', 'target=/b,id=/a', 'target=/a,sharing=private', 'target=/a,mode=0700,uid=7', 'target=/other'];
    await shop.build(`FROM busybox\n${mounts.map((mount) => `RUN --mount=type=cache,${mount} x\n`).join('')}`);
    const [own = '', ...others] = disks.map(([disk]) => disk ?? '');
    expect(others.slice(0, 2)).toEqual([own, own]);
    expect(new Set([own, ...others.slice(2)]).size).toBe(3);
    const [machine] = shop.machines.started;
    const disk = machine?.released[0]?.[0];
    expect(machine?.runs[0]?.mounts).toEqual([{ kind: 'cache', target: '/a', disk, readOnly: false, uid: 0, gid: 0 }]);
    expect(machine?.runs[3]?.mounts).toMatchObject([{ mode: 0o700, uid: 7 }]);
    expect(machine?.plugged).toEqual([]);
    expect(shop.machines.started).toHaveLength(1);
  });

  it('cache: its disk is taken out also when the build is cancelled meanwhile', async () => {
    const controller = new AbortController();
    shop.machines.onStart = (machine) => {
      machine.onRelease = () => controller.abort();
    };
    await shop.build('FROM busybox\nRUN --mount=type=cache,target=/c x\n', {}, controller.signal).catch(() => {});
    expect(shop.machines.started.map(({ released, plugged }) => [released.length, plugged])).toEqual([[1, []]]);
  });

  it('cache: locked ones wait, private ones take another', async () => {
    let most = 0;
    const now = new Map<string, number>();
    const disks = new Set<string>();
    shop.machines.program = async (_spec, machine) => {
      const path = machine.plugged[0]?.path ?? '';
      disks.add(path);
      now.set(path, (now.get(path) ?? 0) + 1);
      most = Math.max(most, now.get(path) ?? 0);
      // Long enough for the other stage to be there too.
      await new Promise((resolve) => setTimeout(resolve, 150));
      now.set(path, (now.get(path) ?? 0) - 1);
      return {};
    };
    shop.maxMachines = 2;
    const stages = (sharing: string) =>
      ['a', 'b'].map((name) => `FROM busybox AS ${name}\nRUN --mount=type=cache,target=/c,sharing=${sharing} ${name}\n`).join('');
    const end = 'FROM scratch\nCOPY --from=a /bin/sh /a\nCOPY --from=b /bin/sh /b\n';
    await shop.build(`${stages('locked')}${end}`, { target: '2' });
    expect([most, disks.size]).toEqual([1, 1]);
    await shop.build(`${stages('private')}${end}`, { target: '2', noCache: true });
    expect([most, disks.size]).toEqual([1, 2]);
  });

  it('cache: a build without cache starts it anew, once, where it has a source (behaviour 28)', async () => {
    const here: boolean[] = [];
    shop.machines.program = (_spec, machine) => {
      const path = machine.plugged[0]?.path ?? '';
      here.push(existsSync(path));
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, 'disk');
      return {};
    };
    const file = (step: string) =>
      `FROM busybox\nRUN --mount=type=cache,target=/m,mode=0700 ${step}1\nRUN --mount=type=cache,target=/m,mode=0700 ${step}2\nRUN --mount=type=cache,target=/n ${step}3\n`;
    await shop.build(file('a'));
    await shop.build(file('b'));
    await shop.build(file('b'), { noCache: true });
    expect(here).toEqual([false, true, false, true, true, true, false, true, true]);
  });

  it('ssh: a socket where it is wanted, only if something is forwarded', async () => {
    const ssh = { default: { socket: '/host/agent' }, deploy: { keys: ['/k'] } };
    const file = 'FROM busybox\nRUN --mount=type=ssh --mount=type=ssh,id=deploy,target=/s,uid=5,mode=0660 --mount=type=ssh,id=none x\n';
    await shop.build(file, { ssh });
    const [machine] = shop.machines.started;
    expect(machine?.relays).toEqual([
      { socket: 'ssh0', mode: 0o600, uid: 0, gid: 0 },
      { socket: 'ssh1', mode: 0o660, uid: 5, gid: 0 },
    ]);
    expect(machine?.runs[0]?.env).toContain('SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0');
    expect(machine?.runs[0]?.mounts).toEqual([
      { kind: 'socket', target: '/run/buildkit/ssh_agent.0', name: 'ssh0' },
      { kind: 'socket', target: '/s', name: 'ssh1' },
    ]);
    const missing = await thrown(shop.build('FROM busybox\nRUN --mount=type=ssh,required x\n'));
    expect(missing.message).toBe('no SSH key "default" forwarded from the client');
  });

  it('tmpfs and targets in one another: outermost first', async () => {
    await shop.build(
      'FROM busybox\nENV in=/t/c type=tmpfs\nRUN --mount=type=cache,target=$in --mount=type=$type,target=/t,size=131072k --mount=target=/t/c/ctx a\n',
    );
    expect(shop.machines.runs[0]?.mounts).toMatchObject([
      { kind: 'tmpfs', target: '/t', size: 134_217_728 },
      { kind: 'cache', target: '/t/c' },
      { kind: 'bind', target: '/t/c/ctx' },
    ]);
  });

  it('without a target they lie over the folder of the step', async () => {
    shop.file('f');
    await shop.build(
      'FROM busybox\nWORKDIR /w\nRUN --mount=type=bind,rw=T,env=x a\nRUN --mount=type=tmpfs b\nRUN --mount=type=cache,target=,from= c\n',
    );
    expect(shop.machines.runs.map(({ mounts }) => mounts?.map(({ kind, target }) => [kind, target]))).toEqual([
      [['bind', '/w']],
      [['tmpfs', '/w']],
      [['cache', '/w']],
    ]);
    const error = await thrown(shop.build('FROM busybox\nRUN --mount=source=f a\n'));
    expect([error.code, error.where?.line]).toEqual(['BUILD_FAILED', 2]);
    expect(error.message).toContain('invalid mount target "/"');
  });

  it('a relative target of a cache is the same cache in every folder', async () => {
    const plugged: string[][] = [];
    shop.machines.program = (_spec, machine) => {
      plugged.push(machine.plugged.map(({ path }) => path));
      return {};
    };
    await shop.build('FROM busybox\nWORKDIR /a\nRUN --mount=type=cache,target=c/ x\nWORKDIR /b\nRUN --mount=type=cache,target=./c y\n');
    expect(plugged[0]).toHaveLength(1);
    expect(plugged[1]).toEqual(plugged[0]);
  });

  it('refuses what is not one', async () => {
    const cases: Array<[string, string]> = [
      ['--mont=target=/mytmp', 'unknown flag: --mont (did you mean mount?)'],
      ['--mount=typ=tmpfs,target=/x', "unexpected key 'typ' in 'typ=tmpfs' (did you mean type?)"],
      ['--mount=type=tmp,target=/x', 'unsupported mount type "tmp"'],
      ['--mount=from=$x,target=/x', "'from' doesn't support variable expansion, define alias stage instead"],
      ['--mount=type=cache,target=/', 'invalid mount target "/"'],
      ['--mount=type=secret,id=a,source=b', "both source and id can't be set"],
      ['--mount=type=secret,from=busybox,id=a', 'secret mount should not have a from'],
      ['--mount=type=secret', 'one of source, target required'],
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
