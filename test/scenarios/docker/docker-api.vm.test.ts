import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import { type CliResult, hypr, hyprBin, mustHypr } from '../../support/cli.ts';
import { fetchDockerCli } from '../../support/clients/docker-cli.ts';

/** docker's own client, unmodified, against hypr serve. */
describe("docker's Engine API", () => {
  const dir = mkdtempSync(join(tmpdir(), 'hypr-dockerapi-'));
  const socket = join(dir, 'docker.sock');
  const env: NodeJS.ProcessEnv = { HYPR_HOME: inject('hyprHome'), HYPR_REGISTRY_MIRRORS: inject('mirrors') };
  /** A home that stayed has events of earlier runs. */
  const since = `${Math.floor(Date.now() / 1000)}`;
  let client = '';
  let server: ChildProcess;

  const serve = async (): Promise<ChildProcess> => {
    const child = spawn(hyprBin, ['serve', '--socket', socket], { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    for await (const chunk of child.stderr as AsyncIterable<Buffer>) {
      said += chunk;
      if (said.includes(`DOCKER_HOST=unix://${socket}`)) {
        break;
      }
    }
    expect(said).toContain(socket);
    return child;
  };

  /** Runs the client to its end; `input` is its standard input. */
  const docker = (args: readonly string[], input = ''): Promise<CliResult> =>
    new Promise((resolve, reject) => {
      const child = spawn(client, args, {
        env: { ...process.env, DOCKER_HOST: `unix://${socket}`, DOCKER_CONFIG: dir, DOCKER_BUILDKIT: '0' },
        timeout: 150_000,
        killSignal: 'SIGKILL',
      });
      const text = { stdout: '', stderr: '' };
      child.stdout.on('data', (data: Buffer) => {
        text.stdout += data;
      });
      child.stderr.on('data', (data: Buffer) => {
        text.stderr += data;
      });
      child.once('error', reject);
      child.once('close', (code) => resolve({ code: code ?? 137, ...text }));
      child.stdin.on('error', () => {}).end(input);
    });

  const must = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await docker(args);
    expect(code, `docker ${args.join(' ')}: ${stdout}${stderr}`).toBe(0);
    return stdout.trim();
  };

  /** One request without a client's library. */
  const ask = (method: string, path: string): Promise<{ status: number; headers: http.IncomingHttpHeaders; text: string }> =>
    new Promise((resolve, reject) => {
      const request = http.request({ socketPath: socket, method, path, agent: false }, (response) => {
        let text = '';
        response.on('data', (data: Buffer) => {
          text += data;
        });
        response.once('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      });
      request.once('error', reject);
      request.end();
    });

  beforeAll(async () => {
    client = await fetchDockerCli(homePaths().cache);
    server = await serve();
    await must('pull', '-q', 'busybox');
  });

  afterAll(async () => {
    server?.kill('SIGTERM');
    for (const name of ['dapi', 'dapi-once', 'dapi-made', 'dapi-kept']) {
      await hypr(['-p', name, 'down'], { env });
    }
    await hypr(['network', 'rm', '-f', 'dapi-net'], { env });
    rmSync(dir, { recursive: true, force: true });
  });

  test('only its user may connect, and it answers as docker does', async () => {
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    const ping = await ask('HEAD', '/_ping');
    expect(ping).toMatchObject({ status: 200, headers: { 'api-version': '1.51', ostype: 'linux' } });
    expect((await ask('GET', '/v1.24/version')).text).toContain('"MinAPIVersion":"1.24"');
    expect(await ask('GET', '/v1.99/version')).toMatchObject({ status: 400, text: expect.stringContaining('too new') });
    expect(await ask('GET', '/v1.41/containers/nobody/json')).toMatchObject({
      status: 404,
      text: '{"message":"No such container: nobody"}\n',
    });
    expect(await ask('GET', '/containers/json?filters={')).toMatchObject({ status: 400 });
    const second = await hypr(['serve', '--socket', socket], { env });
    expect(second).toMatchObject({ code: 1, stderr: expect.stringContaining('served at') });
    expect(await must('info', '--format', '{{.OSType}} {{.Driver}}')).toBe('linux erofs');
  });

  test('run: both streams, input, exit codes, a program that is not there; --rm leaves nothing', async () => {
    const run = await docker(['run', '--rm', '--name', 'dapi-once', '-i', 'busybox', 'sh', '-c', 'cat; echo err >&2; exit 7'], 'piped');
    expect(run).toMatchObject({ code: 7, stdout: 'piped', stderr: 'err\n' });
    const missing = await docker(['run', '--rm', '--name', 'dapi-once', 'busybox', 'nonsense']);
    expect(missing).toMatchObject({ code: 127, stderr: expect.stringContaining('executable file not found') });
    expect(await must('ps', '-aq', '--filter', 'name=dapi')).toBe('');
  });

  test('run -it: the terminal has the size of its client from the start on', () => {
    // `stty` of busybox fails where a terminal has no size.
    const command = `stty rows 31 cols 97; ${client} run --rm -it busybox stty size`;
    const out = execFileSync('script', ['-qec', command, '/dev/null'], {
      env: { ...process.env, DOCKER_HOST: `unix://${socket}`, DOCKER_CONFIG: dir },
      encoding: 'utf8',
      timeout: 100_000,
    });
    expect(out).toContain('31 97');
  });

  test('a machine with a port: exec, logs, files, stop, start, a name; hypr knows it, too', async () => {
    const id = await must(
      'run',
      '-d',
      '--name',
      'dapi',
      '-p',
      '80',
      '-e',
      'A=1',
      'busybox',
      'sh',
      '-c',
      'echo from-$A; exec httpd -f -p 80 -h /tmp',
    );
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    await expect.poll(() => must('logs', 'dapi'), { timeout: 60_000 }).toBe('from-1');
    expect((await docker(['exec', '-i', 'dapi', 'sh', '-c', 'cat; exit 5'], 'in')).code).toBe(5);
    writeFileSync(join(dir, 'page'), 'a page');
    await must('cp', join(dir, 'page'), 'dapi:/tmp/page');
    const port = (await must('port', 'dapi', '80')).split('\n')[0] ?? '';
    expect(port).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(await (await fetch(`http://${port}/page`)).text()).toBe('a page');
    await must('cp', 'dapi:/tmp/page', join(dir, 'back'));
    expect(readFileSync(join(dir, 'back'), 'utf8')).toBe('a page');
    expect((await docker(['cp', 'dapi:/nothing', dir])).stderr).toContain('Could not find the file /nothing');
    expect(await must('top', 'dapi')).toContain('httpd -f -p 80');
    expect(await mustHypr(['ps', '--filter', 'name=dapi', '--format', '{{.Names}} {{.State}}'], { env })).toBe('dapi running\n');
    expect(await docker(['rm', 'dapi'])).toMatchObject({ code: 1, stderr: expect.stringContaining('stop the container') });
    await must('stop', '-t', '1', 'dapi');
    await must('rename', 'dapi', 'dapi-moved');
    await must('start', 'dapi-moved');
    expect(await must('exec', 'dapi-moved', 'cat', '/tmp/page')).toBe('a page');
    expect(await must('inspect', '--format', '{{.Name}} {{.State.Status}} {{len .Config.Labels}}', 'dapi-moved')).toBe(
      '/dapi-moved running 0',
    );
    await must('rm', '-f', 'dapi-moved');
    expect(await must('ps', '-aq', '--filter', 'name=dapi')).toBe('');
  });

  test('create, a file into it, then start and wait: its output from the first byte, its end told', async () => {
    await must('create', '--name', 'dapi-made', '--label', 'a=b', 'busybox', 'cat', '/etc/made');
    writeFileSync(join(dir, 'made'), 'made before\n');
    await must('cp', join(dir, 'made'), 'dapi-made:/etc/made');
    expect(await must('ps', '-a', '--filter', 'label=a=b', '--format', '{{.Names}} {{.State}}')).toBe('dapi-made created');
    expect(await must('start', '-a', 'dapi-made')).toBe('made before');
    expect(await must('wait', 'dapi-made')).toBe('0');
    // At rest: out of it, what it has, what changed.
    await must('cp', 'dapi-made:/etc/made', join(dir, 'made-back'));
    expect(readFileSync(join(dir, 'made-back'), 'utf8')).toBe('made before\n');
    await must('export', '-o', join(dir, 'made.tar'), 'dapi-made');
    expect(execFileSync('tar', ['-xOf', join(dir, 'made.tar'), 'etc/made'], { encoding: 'utf8' })).toBe('made before\n');
    expect((await must('diff', 'dapi-made')).split('\n')).toContain('A /etc/made');
    expect(await must('ps', '-a', '--filter', 'name=dapi-made', '--format', '{{.State}}')).toBe('exited');
    await must('rm', 'dapi-made');
  });

  test('a file goes into one that is attached to and has not run yet, and another takes its place while it runs and after', async () => {
    await must('create', '--name', 'dapi-put', 'busybox', 'sh', '-c', 'cat /etc/put; exec sleep 600');
    const put = async (text: string): Promise<void> => {
      writeFileSync(join(dir, 'put'), text);
      await must('cp', join(dir, 'put'), 'dapi-put:/etc/put');
    };
    // As `docker compose up` does, which attaches before it puts configs in and starts.
    const attach = http.request({
      ...{ socketPath: socket, method: 'POST', agent: false, path: '/containers/dapi-put/attach?stream=1&stdout=1' },
      headers: { connection: 'Upgrade', upgrade: 'tcp' },
    });
    attach.end();
    const [, connection] = (await once(attach, 'upgrade')) as [unknown, Socket];
    let out = '';
    connection
      .on('error', () => {})
      .on('data', (data: Buffer) => {
        out += data;
      });
    await put('before');
    await must('start', 'dapi-put');
    await expect.poll(() => out, { timeout: 30_000 }).toContain('before');
    await put('meanwhile');
    expect(await must('exec', 'dapi-put', 'cat', '/etc/put')).toBe('meanwhile');
    await must('stop', '-t', '1', 'dapi-put');
    await put('after');
    await must('start', 'dapi-put');
    expect(await must('exec', 'dapi-put', 'cat', '/etc/put')).toBe('after');
    expect(await must('inspect', '--format', '{{len .Mounts}}', 'dapi-put')).toBe('0');
    await must('rm', '-f', 'dapi-put');
  });

  test('events tell each change once, whoever makes it', async () => {
    const listening = http.get({ socketPath: socket, path: '/events?filters={"type":["container"]}', agent: false });
    // The head is there once it listens.
    const [response] = (await once(listening, 'response')) as [http.IncomingMessage];
    response.on('error', () => {});
    writeFileSync(join(dir, 'labels'), 'from=a-file\n');
    const made = mustHypr(['run', '--rm', '--name', 'dapi-kept', '--label-file', join(dir, 'labels'), 'busybox', 'true'], { env });
    const actions: string[] = [];
    // It hands on the errors of its input, also when nobody reads it any more.
    const lines = createInterface({ input: response }).on('error', () => {});
    for await (const line of lines) {
      actions.push((JSON.parse(line) as { Action: string }).Action);
      if (actions.at(-1) === 'destroy') {
        break;
      }
    }
    listening.on('error', () => {}).destroy();
    await made;
    expect(actions).toEqual(['create', 'start', 'die', 'destroy']);
  });

  test('networks and volumes', async () => {
    await must('network', 'create', 'dapi-net');
    await must(
      'run',
      '-d',
      '--name',
      'dapi',
      '--network',
      'dapi-net',
      '--network-alias',
      'alias',
      '-v',
      'dapi-data:/data',
      'busybox',
      'sleep',
      '1000',
    );
    expect(await must('run', '--rm', '--network', 'dapi-net', 'busybox', 'ping', '-c', '1', '-W', '5', 'alias')).toContain(
      '1 packets received',
    );
    expect(await docker(['network', 'rm', 'dapi-net'])).toMatchObject({ code: 1, stderr: expect.stringContaining('active endpoints') });
    expect(await docker(['volume', 'rm', 'dapi-data'])).toMatchObject({ code: 1, stderr: expect.stringContaining('used by dapi') });
    expect(await docker(['run', '--rm', '-v', '/var/run/docker.sock:/s', 'busybox', 'test', '-S', '/s'])).toMatchObject({ code: 0 });
  });

  test('kill -9 of it: the machine goes on, and the next one sees it', async () => {
    server.kill('SIGKILL');
    await once(server, 'exit');
    server = await serve();
    expect(await must('exec', 'dapi', 'echo', 'still here')).toBe('still here');
    // What happened before is told by the one that was not there.
    const past = ['events', '--since', since, '--until', '0s', '--filter', 'container=dapi-kept'];
    const told = 'create\nstart\ndie\ndestroy';
    expect(await must(...past, '--filter', 'label=from=a-file', '--format', '{{.Action}}')).toBe(told);
    expect(await mustHypr(['system', ...past, '--format', '{{.Action}}'], { env })).toBe(`${told}\n`);
    expect(await must('events', '--since', since, '--until', '0s', '--filter', 'network=dapi-net', '--format', '{{.Action}}')).toBe(
      'create',
    );
    writeFileSync(join(dir, 'variables'), 'FROM_FILE=yes\n');
    expect(await mustHypr(['exec', '--env-file', join(dir, 'variables'), 'dapi', 'printenv', 'FROM_FILE'], { env })).toBe('yes\n');
    await must('rm', '-f', 'dapi');
    await must('network', 'rm', 'dapi-net');
    await must('volume', 'rm', 'dapi-data');
  });

  test('images: history, tag, save and load, the classic build', async () => {
    writeFileSync(join(dir, 'Dockerfile'), 'FROM busybox\nENV BUILT=yes\nCMD ["printenv", "BUILT"]\n');
    expect(await must('build', '-t', 'dapi/built', '-f', join(dir, 'Dockerfile'), dir)).toContain('Successfully tagged dapi/built');
    // The same by hypr is what is there already.
    expect(await mustHypr(['builder', 'build', '-q', '-t', 'dapi/built', dir], { env })).toMatch(/^sha256:[0-9a-f]{64}\n$/);
    expect(await must('run', '--rm', 'dapi/built')).toBe('yes');
    await must('save', '-o', join(dir, 'images.tar'), 'dapi/built');
    await must('rmi', 'dapi/built');
    expect(await must('load', '-i', join(dir, 'images.tar'))).toContain('Loaded image: dapi/built');
    expect(await must('history', '--format', '{{.CreatedBy}}', 'dapi/built')).toContain('ENV BUILT=yes');
    await must('rmi', 'dapi/built');
    expect(await docker(['rmi', 'dapi/built'])).toMatchObject({ code: 1, stderr: expect.stringContaining('No such image') });
  });

  test('with-docker: one command, its exit code, and nothing left; --idle ends it', async () => {
    const script = `${client} version --format '{{.Server.APIVersion}}' && echo $DOCKER_HOST && exit 9`;
    const run = await hypr(['with-docker', '--', 'sh', '-c', script], { env: { ...env, DOCKER_CONFIG: dir } });
    expect(run.code).toBe(9);
    const [version, host = ''] = run.stdout.trim().split('\n');
    expect(version).toBe('1.51');
    expect(existsSync(host.replace('unix://', ''))).toBe(false);
    expect(await hypr(['serve', '--idle', '50ms', '--socket', join(dir, 'idle.sock')], { env })).toMatchObject({ code: 0 });
    expect(existsSync(join(dir, 'idle.sock'))).toBe(false);
  });
});
