import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { needs } from '../../support/needs.ts';
import { show, thrown, Workshop } from '../solver/workshop.ts';
import { GitServer } from './git-server.ts';
import { SshServer, sshd, startAgent } from './ssh-server.ts';

needs(sshd === undefined && 'no sshd; install openssh-server').describe('git over ssh, with a real server', () => {
  let shop: Workshop;
  let repositories: GitServer;
  let server: SshServer;
  beforeEach(() => {
    shop = new Workshop();
    repositories = new GitServer();
    repositories.commit('r', { Dockerfile: 'FROM scratch\nCOPY foo /\n', foo: 'F' });
    server = new SshServer(join(shop.folder, 'ssh'), sshd ?? '');
    vi.stubEnv('SSH_AUTH_SOCK', '');
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await server.close();
    await repositories.close();
    shop.close();
  });

  const start = async (hostKey: 'host' | 'other-host' | 'none' = 'host') => {
    const bin = await server.start(hostKey);
    vi.stubEnv('PATH', `${bin}:${process.env.PATH}`);
    return `ssh://${server.user}@127.0.0.1:${server.port}${repositories.folder}/r`;
  };
  const client = () => ({ default: { keys: [server.key('client')] } });
  const context = (url: string, ssh = {}) => shop.build('', { context: url, dockerfile: { path: 'Dockerfile' }, ssh });

  it('as a context, by a key, and by an agent, forwarded or the own one', async () => {
    const url = await start();
    expect(await show((await context(url, client())).tree)).toEqual({ foo: 'F' });
    repositories.commit('r', { foo: 'G' });
    const socket = join(shop.folder, 'agent');
    const agent = await startAgent(socket, server.key('client'));
    try {
      vi.stubEnv('SSH_AUTH_SOCK', socket);
      const scp = `${server.user}@127.0.0.1:${repositories.folder}/r#main`;
      expect(await show((await context(scp)).tree)).toEqual({ foo: 'G' });
      // A Dockerfile may be anybody's: it has no agent but what --ssh gives.
      const add = `FROM scratch\nADD ${url} /\n`;
      repositories.commit('r', { foo: 'H' });
      expect((await thrown(shop.run(add))).details.join('\n')).toContain('Permission denied');
      expect(await show((await shop.build(add, { ssh: { default: { socket } } })).tree)).toMatchObject({ foo: 'H' });
    } finally {
      agent.close();
    }
  });

  it('refuses a host whose key is not known, and says how to make it known', async () => {
    const url = await start('none');
    const unknown = await thrown(context(url, client()));
    expect(unknown).toMatchObject({ code: 'BUILD_FAILED', details: expect.arrayContaining(['Host key verification failed.']) });
    expect(unknown.hint).toContain(`ssh-keyscan -p ${server.port} 127.0.0.1`);
    expect(server.log).not.toContain('Accepted');
  });

  it('refuses a host whose key has changed, and says no word of adding it', async () => {
    const url = await start('other-host');
    const changed = await thrown(context(url, client()));
    expect(changed.details.join('\n')).toContain('Host key verification failed');
    expect(changed.hint).not.toContain('keyscan');
    expect(server.log).not.toContain('Accepted');
  });

  it('a key that the server does not know is the only one that is tried', async () => {
    const url = await start();
    const denied = await thrown(context(url, { default: { keys: [server.key('stranger')] } }));
    expect(denied.details.join('\n')).toContain('Permission denied (publickey');
    expect(denied.hint).toContain('--ssh default');
  });
});
