import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { dockerSocket } from '../../../engine/docker/serve.ts';
import { fakeContext, run } from '../support/fake-context.ts';

describe('setup --docker', () => {
  let dir = '';
  // sha256 of `hypr`, as docker names the folder.
  const file = () => join(dir, 'contexts/meta/e3af796382941ee435fd0e6fe88f17f8408433ed34b4b3822aa6e541829b9e13/meta.json');
  const context = () => fakeContext({ env: { DOCKER_CONFIG: dir } });

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'hypr-setup-docker-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  const metas = (): string[] => (existsSync(join(dir, 'contexts/meta')) ? readdirSync(join(dir, 'contexts/meta')) : []);

  it('writes a context, again without harm, and --undo removes it', async () => {
    expect(await run(context(), 'setup --docker --dry-run')).toBe(0);
    expect(metas()).toEqual([]);
    expect(await run(context(), 'setup --docker')).toBe(0);
    expect(await run(context(), 'setup --docker')).toBe(0);
    const [digest = ''] = metas();
    const meta = JSON.parse(readFileSync(join(dir, 'contexts/meta', digest, 'meta.json'), 'utf8')) as Record<string, unknown>;
    expect(meta).toMatchObject({ Name: 'hypr', Endpoints: { docker: { Host: expect.stringMatching(/^unix:\/\/\/.*docker\.sock$/) } } });
    expect(await run(context(), 'setup --undo --dry-run')).toBe(0);
    expect(metas()).toEqual([digest]);
    expect(await run(context(), 'setup --undo --yes')).toBe(0);
    expect(metas()).toEqual([]);
  });

  it('stays while docker uses it: every docker command would fail without it', async () => {
    expect(await run(context(), 'setup --docker')).toBe(0);
    writeFileSync(join(dir, 'config.json'), '{"currentContext":"hypr"}');
    const asked = context();
    expect(await run(asked, 'setup --undo --yes')).toBe(0);
    expect(asked.stderr.text).toContain('docker context use default');
    expect(metas()).toHaveLength(1);
    writeFileSync(join(dir, 'config.json'), '{}');
    expect(await run(context(), 'setup --undo --yes')).toBe(0);
    expect(metas()).toEqual([]);
  });

  it("does not keep the rest of --undo where docker's folder cannot be read", async () => {
    mkdirSync(file(), { recursive: true });
    const asked = context();
    expect(await run(asked, 'setup --undo --yes')).toBe(0);
    expect(asked.stderr.text).toContain('the context of docker stays');
    expect(asked.fake.call('undoBrowser')).toBeDefined();
  });

  /** A user manager that only notes what it is asked. */
  const withManager = () => {
    const bin = join(dir, 'bin');
    mkdirSync(bin, { recursive: true });
    writeFileSync(join(bin, 'systemctl'), `#!/bin/sh\necho "$*" >> ${join(dir, 'asked')}\n`, { mode: 0o755 });
    return fakeContext({
      env: { DOCKER_CONFIG: dir, XDG_CONFIG_HOME: join(dir, 'config'), PATH: `${bin}:/usr/bin:/bin`, HYPR_HOME: join(dir, 'h o/100%') },
    });
  };

  it('has the user manager of systemd listen, and --undo takes it back; units of others stay', async () => {
    const unit = join(dir, 'config/systemd/user/hypr-docker.service');
    const asked = (): string[] => readFileSync(join(dir, 'asked'), 'utf8').trim().split('\n');
    expect(await run(withManager(), 'setup --docker --dry-run')).toBe(0);
    expect(existsSync(unit)).toBe(false);
    expect(await run(withManager(), 'setup --docker')).toBe(0);
    expect(readFileSync(unit, 'utf8')).toMatch(/^ExecStart="\/.*bin\/hypr" serve --idle 10m$/m);
    expect(readFileSync(unit, 'utf8')).toContain(`Environment="HYPR_HOME=${dir}/h o/100%%"\n`);
    expect(readFileSync(unit, 'utf8')).toContain('KillMode=process\n');
    const socket = readFileSync(unit.replace('.service', '.socket'), 'utf8');
    expect(socket).toMatch(/^ListenStream=\/.*docker\.sock$/m);
    expect(socket).toContain('SocketMode=0600\n');
    expect(asked()).toContain('--user enable --now hypr-docker.socket');
    expect(await run(withManager(), 'setup --undo --yes')).toBe(0);
    expect(existsSync(unit)).toBe(false);
    expect(asked()).toContain('--user disable --now hypr-docker.socket');
    mkdirSync(dirname(unit), { recursive: true });
    writeFileSync(unit, '[Unit]\n');
    expect(await run(withManager(), 'setup --undo --yes')).toBe(0);
    expect(readFileSync(unit, 'utf8')).toBe('[Unit]\n');
  });

  it('leaves the socket to a hypr serve that listens already, and has systemd listen from the next start on', async () => {
    const asked = (): string[] => readFileSync(join(dir, 'asked'), 'utf8').trim().split('\n');
    const busy = withManager();
    writeFileSync(join(dir, 'bin', 'systemctl'), `#!/bin/sh\necho "$*" >> ${join(dir, 'asked')}\n[ "$2" != is-active ]\n`, { mode: 0o755 });
    const socket = dockerSocket();
    rmSync(socket, { force: true });
    const server = createServer().listen(socket);
    await once(server, 'listening');
    try {
      expect(await run(busy, 'setup --docker')).toBe(0);
    } finally {
      server.close();
    }
    expect(asked()).toContain('--user enable hypr-docker.socket');
    expect(asked()).not.toContain('--user enable --now hypr-docker.socket');
    expect(busy.stderr.text).toContain('listens at');
  });

  it('links docker and docker-compose where none are, and only when asked', async () => {
    const home = join(dir, 'home');
    const linked = (bin: string) => ({ ...fakeContext({ env: { DOCKER_CONFIG: dir, PATH: `${bin}:/nowhere` } }), home });
    const file = join(home, '.local/bin/docker-compose');
    expect(await run(linked('/nowhere'), 'setup --docker')).toBe(0);
    expect(existsSync(file)).toBe(false);
    const other = join(dir, 'bin');
    mkdirSync(other);
    writeFileSync(join(other, 'docker'), '#!/bin/sh\n', { mode: 0o755 });
    expect(await run(linked(other), 'setup --docker --links')).toBe(0);
    expect(existsSync(join(home, '.local/bin/docker'))).toBe(false);
    expect(readFileSync(file, 'utf8')).toMatch(/^exec '\/.*bin\/hypr' compose "\$@"$/m);
    expect(await run(linked('/nowhere'), 'setup --undo --yes')).toBe(0);
    expect(existsSync(file)).toBe(false);
    expect(await run(linked('/nowhere'), 'setup --links')).toBe(1);
  });

  it('leaves another context of that name alone', async () => {
    const mine = '{"Name":"hypr","Metadata":{},"Endpoints":{}}';
    mkdirSync(dirname(file()), { recursive: true });
    writeFileSync(file(), mine);
    const asked = context();
    expect(await run(asked, 'setup --docker')).toBe(1);
    expect(asked.stderr.text).toContain('docker context rm hypr');
    expect(await run(context(), 'setup --undo --yes')).toBe(0);
    expect(readFileSync(file(), 'utf8')).toBe(mine);
  });
});
