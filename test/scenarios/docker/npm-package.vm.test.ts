import { createRequire } from 'node:module';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hyprBin } from '../../support/cli.ts';
import { freePort } from '../../support/free-port.ts';
import { onlyWhere } from '../../support/needs.ts';
import { TestStack } from '../../support/stack.ts';

/** The folder of npm's package `docker-compose`, unpacked: 1.4 or newer. */
const PACKAGE = process.env.HYPR_TEST_NPM_DOCKER_COMPOSE;

interface Answer<T> {
  readonly exitCode: number | null;
  readonly out: string;
  readonly err: string;
  readonly data: T;
}

type Options = Readonly<Record<string, unknown>>;

/** What is used of the package. Its calls reject with an Answer where the exit code is not 0. */
interface Client {
  upAll(options: Options): Promise<Answer<unknown>>;
  ps(options: Options): Promise<Answer<{ services: Array<{ name: string; state: string; ports: Array<{ exposed: { port: number } }> }> }>>;
  exec(service: string, command: string, options: Options): Promise<Answer<unknown>>;
  run(service: string, command: string[], options: Options): Promise<Answer<unknown>>;
  logs(services: string[], options: Options): Promise<Answer<unknown>>;
  config(options: Options): Promise<Answer<{ config: { services: Record<string, { image: string }> } }>>;
  configServices(options: Options): Promise<Answer<{ services: string[] }>>;
  port(service: string, port: number, options: Options): Promise<Answer<{ address: string; port: number }>>;
  version(options: Options): Promise<Answer<{ version: string }>>;
  stopOne(service: string, options: Options): Promise<Answer<unknown>>;
  restartOne(service: string, options: Options): Promise<Answer<unknown>>;
  images(options: Options): Promise<Answer<{ services: Array<{ container: string; repository: string }> }>>;
  down(options: Options): Promise<Answer<unknown>>;
}

onlyWhere(PACKAGE === undefined && 'HYPR_TEST_NPM_DOCKER_COMPOSE names no unpacked package').describe(
  "npm's docker-compose package",
  () => {
    let stack: TestStack;
    let client: Client;
    let options: Options;
    let port = 0;

    beforeAll(async () => {
      port = await freePort();
      stack = await new TestStack('npmpkg').write({
        'compose.yaml': `
services:
  web:
    image: busybox
    command: sh -c 'mkdir -p /www; echo page > /www/index.html; echo started; exec httpd -f -p 80 -h /www'
    ports: ["${port}:80"]
  aside: {image: busybox, command: sleep 1d}
`,
      });
      client = createRequire(import.meta.url)(PACKAGE ?? '');
      options = { cwd: stack.dir, env: { ...process.env, ...stack.env }, executable: { executablePath: hyprBin } };
    });

    afterAll(() => stack?.close());

    test('upAll, ps, port, images and version are read as docker answers them', async () => {
      expect(await client.upAll(options)).toMatchObject({ exitCode: 0 });
      const { services } = (await client.ps(options)).data;
      expect(services.map(({ name }) => name).sort()).toEqual(['npmpkg-aside-1', 'npmpkg-web-1']);
      expect(services.find(({ name }) => name === 'npmpkg-web-1')).toMatchObject({
        state: expect.stringMatching(/^(Up|running)/),
        ports: [{ mapped: { port }, exposed: { port: 80, protocol: 'tcp' } }],
      });
      expect((await client.port('web', 80, options)).data).toEqual({ address: '127.0.0.1', port });
      expect((await client.images(options)).data.services.map(({ container }) => container).sort()).toEqual([
        'npmpkg-aside-1',
        'npmpkg-web-1',
      ]);
      expect((await client.version(options)).data.version).toMatch(/^\d+\.\d+\.\d+/);
    });

    test('exec, run and logs give output and exit code', async () => {
      expect(await client.exec('web', 'cat /www/index.html', options)).toMatchObject({ exitCode: 0, out: 'page\n' });
      await expect(client.exec('web', 'false', options)).rejects.toMatchObject({ exitCode: 1 });
      const once = { ...options, commandOptions: ['--rm'] };
      expect(await client.run('aside', ['sh', '-c', 'echo ran'], once)).toMatchObject({
        exitCode: 0,
        out: expect.stringContaining('ran\n'),
      });
      await expect(client.run('aside', ['sh', '-c', 'exit 7'], once)).rejects.toMatchObject({ exitCode: 7 });
      expect((await client.logs(['web'], options)).out).toMatch(/web-1\s+\| started\n/);
    });

    test('config and its list of services are read', async () => {
      expect((await client.config(options)).data.config.services.web?.image).toBe('busybox');
      expect((await client.configServices(options)).data.services.sort()).toEqual(['aside', 'web']);
      await expect(client.config({ ...options, config: 'missing.yaml' })).rejects.toMatchObject({ exitCode: expect.any(Number) });
    });

    test('stopOne, restartOne and down end what they say', async () => {
      expect(await client.stopOne('aside', options)).toMatchObject({ exitCode: 0 });
      expect((await client.ps(options)).data.services.map(({ name }) => name)).toEqual(['npmpkg-web-1']);
      expect(await client.restartOne('aside', options)).toMatchObject({ exitCode: 0 });
      expect(await client.down(options)).toMatchObject({ exitCode: 0 });
      expect((await client.ps(options)).data.services).toEqual([]);
    });
  },
);
