import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { takePassedSocket } from '../../../engine/docker/http/activation.ts';
import { hyprBin } from '../../support/cli.ts';

describe('a socket that systemd passes', () => {
  test('is taken by the process that it is meant for, once', () => {
    const env: NodeJS.ProcessEnv = { LISTEN_PID: '7', LISTEN_FDS: '1', LISTEN_FDNAMES: 'x' };
    expect(takePassedSocket(env, 7)).toBe(3);
    expect(env).toEqual({});
    expect(takePassedSocket({ LISTEN_PID: '6', LISTEN_FDS: '1' }, 7)).toBeUndefined();
    expect(takePassedSocket({}, 7)).toBeUndefined();
    expect(() => takePassedSocket({ LISTEN_PID: '7', LISTEN_FDS: '2' }, 7)).toThrow(RangeError);
  });

  /** As systemd: listens, and starts the program when somebody connects; whoever connects next is the program's. */
  const MANAGER = `
    use Socket; use POSIX;
    my ($path, @command) = @ARGV;
    $^F = 9;
    umask 0177;
    socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die $!;
    bind($s, pack_sockaddr_un($path)) and listen($s, 16) or die $!;
    umask 022;
    print "listening\\n"; close STDOUT; open STDOUT, '>', '/dev/null';
    my $set = ''; vec($set, fileno($s), 1) = 1; select($set, undef, undef, undef);
    fileno($s) == 3 or POSIX::dup2(fileno($s), 3);
    @ENV{qw(LISTEN_PID LISTEN_FDS)} = ($$, 1);
    exec @command;`;

  test('is served from the first connection on; it stays when the process ends', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'hypr-activation-'));
    const socket = join(dir, 'docker.sock');
    const child = spawn('perl', ['-e', MANAGER, socket, hyprBin, 'serve', '--idle', '1s'], {
      env: { ...process.env, HYPR_HOME: join(dir, 'home'), HYPR_RUNTIME_DIR: join(dir, 'run') },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    try {
      await once(child.stdout, 'data');
      const response = await new Promise<http.IncomingMessage>((resolve, reject) =>
        http.get({ socketPath: socket, path: '/_ping', agent: false }, resolve).once('error', reject),
      );
      expect(response.statusCode).toBe(200);
      response.resume();
      const [code] = await once(child, 'exit');
      expect(code).toBe(0);
      // It is the manager's: the next one is started for it.
      expect(statSync(socket).isSocket()).toBe(true);
      expect(statSync(socket).mode & 0o777).toBe(0o600);
    } finally {
      child.kill('SIGKILL');
      await rm(dir, { recursive: true, force: true });
    }
  }, 60_000);
});
