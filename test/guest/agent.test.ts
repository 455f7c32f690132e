import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { type AddressInfo, createConnection, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectGuest, GuestExecError } from '../../guest/client/client.ts';
import { openConnection } from '../../guest/client/connection.ts';
import { Requests } from '../../guest/client/requests.ts';
import { encodeMachine } from '../../guest/protocol/encode.ts';
import { encodeFrame } from '../../guest/protocol/protocol.ts';
import { refusalReason } from '../../guest/protocol/refusal.ts';
import { FRAME, OPCODE } from '../../guest/protocol/tags.ts';
import type { GuestClient } from '../../guest/types.ts';
import { freePort } from '../support/free-port.ts';
import { until } from '../support/until.ts';
import { chunks, collect, compileHostAgent, type HostAgent, machineConfig, processSpec, readAll, startHostAgent } from './host-agent.ts';

// The real agent as an ordinary program on a unix socket: everything but namespaces, mounts and devices.

let agent: HostAgent;
let client: GuestClient;

beforeAll(async () => {
  await compileHostAgent();
  agent = await startHostAgent();
  client = await connectGuest(agent.socket, { timeout: 5000 });
  await client.prepare(machineConfig());
}, 60_000);

afterAll(async () => {
  await client?.close();
  await agent?.stop();
});

const shell = (script: string, more: Parameters<typeof processSpec>[1] = {}) => client.spawn(processSpec(['sh', '-c', script], more));

describe('synced folders', () => {
  it('are equal at once where there are none', async () => {
    await client.settle();
  });

  it.each([
    { kind: 'share', tag: 's', target: '/s', readOnly: false, seed: false, synced: true, file: 'f' },
    { kind: 'share', tag: 's', target: '/s', readOnly: false, seed: false, synced: true, subpath: 'f' },
  ] as const)('are folders as a whole: %o is refused', async (mount) => {
    const other = await startHostAgent();
    const guest = await connectGuest(other.socket, { timeout: 5000 });
    try {
      const refusal = await guest.prepare(machineConfig({ mounts: [mount] })).catch((error: unknown) => error);
      expect(refusalReason(refusal)).toBe('malformed');
    } finally {
      await guest.close();
      await other.stop();
    }
  });

  it('that nobody can keep equal let no workload start', async () => {
    const other = await startHostAgent();
    const guest = await connectGuest(other.socket, { timeout: 5000 });
    try {
      // There are no shares here: the process that is to keep it equal ends.
      await guest.prepare(
        machineConfig({ mounts: [{ kind: 'share', tag: 's', target: '/s', readOnly: false, seed: false, synced: true }] }),
      );
      expect(refusalReason(await guest.settle().catch((error: unknown) => error))).toBe('mount');
      expect(refusalReason(await guest.startWorkload(processSpec(['true'])).catch((error: unknown) => error))).toBe('outOfTurn');
    } finally {
      await guest.close();
      await other.stop();
    }
  });
});

describe('a relay', () => {
  it('carries connections both ways, half-closed ones and ones that are not read', async () => {
    const port = await freePort();
    const accepted: Duplex[] = [];
    const relay = await client.relay({ port }, (connection) => {
      accepted.push(connection);
      // The first one is never read, the others are echoed.
      if (accepted.length > 1) {
        connection.pipe(connection);
      } else {
        connection.write(Buffer.alloc(300_000));
      }
    });
    const stuck = createConnection(port, '127.0.0.1');
    stuck.on('error', () => {});
    await once(stuck, 'connect');
    const data = randomBytes(900_000);
    const echo = createConnection({ port, host: '127.0.0.1', allowHalfOpen: true });
    echo.end(data);
    const parts: Buffer[] = [];
    for await (const part of echo) {
      parts.push(part as Buffer);
    }
    expect(Buffer.concat(parts).equals(data)).toBe(true);
    await relay.close();
    stuck.resume();
    await once(stuck, 'close');
    expect(accepted.every(({ destroyed }) => destroyed)).toBe(true);
  });

  it('holds its sender up while a connection is not read, and no other', async () => {
    const port = await freePort();
    const accepted: Duplex[] = [];
    const relay = await client.relay({ port }, (connection) => accepted.push(connection));
    const [slow, quick] = [createConnection(port, '127.0.0.1'), createConnection(port, '127.0.0.1')];
    await Promise.all([once(slow, 'connect'), once(quick, 'connect')]);
    const data = randomBytes(24 << 20);
    slow.end(data);
    quick.end('hello');
    await until(() => expect(accepted).toHaveLength(2));
    const texts = await Promise.race(
      accepted.map(async (connection, index) => (index === 1 ? text(connection) : new Promise<string>(() => {}))),
    );
    expect(texts).toBe('hello');
    // What was not read is not in this process, but with its sender.
    expect(accepted[0]?.readableLength).toBeLessThan(300_000);
    const parts: Buffer[] = [];
    for await (const part of accepted[0] as Duplex) {
      parts.push(part as Buffer);
    }
    expect(Buffer.concat(parts).equals(data)).toBe(true);
    await relay.close();
  });

  it('says why it cannot listen', async () => {
    await expect(client.relay({ socket: 'a/b', mode: 0o600, uid: 0, gid: 0 }, () => {})).rejects.toMatchObject({
      code: 'GUEST_REFUSED',
      message: expect.stringContaining('listening for the host'),
    });
  });
});

describe('a connection into the guest', () => {
  const servers: Server[] = [];
  const serve = async (handler: (socket: Socket) => void): Promise<number> => {
    const server = createServer({ allowHalfOpen: true }, (socket) => handler(socket.on('error', () => {})));
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  afterAll(() => servers.map((server) => server.close()));

  it('carries both ways, each of many its own, with half-closed ends', async () => {
    const port = await serve((socket) => socket.pipe(socket));
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const connection = await client.dial(port);
        const data = Buffer.alloc(50_000 + index, index);
        connection.end(data);
        const parts: Buffer[] = [];
        for await (const part of connection) {
          parts.push(part as Buffer);
        }
        return Buffer.concat(parts).equals(data);
      }),
    );
    expect(answers).toEqual(answers.map(() => true));
  });

  it('ends at once where nobody listens, whatever is written to it', async () => {
    const port = await freePort();
    const connection = await client.dial(port);
    connection.on('error', () => {});
    connection.write(Buffer.alloc(500_000));
    await once(connection, 'close');
    // The number of a connection that failed is not taken for a new one.
    const next = await client.dial(await serve((socket) => socket.end('here')));
    next.end();
    expect(await text(next)).toBe('here');
  });

  it('lets go of the program when the host lets go of it', async () => {
    const ended = Promise.withResolvers<void>();
    const port = await serve((socket) => {
      socket.once('close', () => ended.resolve());
      const pour = () => {
        while (!socket.destroyed && socket.write(Buffer.alloc(65_536))) {}
      };
      socket.on('drain', pour);
      pour();
    });
    const connection = await client.dial(port);
    await once(connection, 'readable');
    connection.destroy();
    await ended.promise;
  });

  it('says when there are too many', async () => {
    const port = await serve(() => {});
    const open = await Promise.all(Array.from({ length: 256 }, () => client.dial(port)));
    await expect(client.dial(port)).rejects.toMatchObject({ code: 'GUEST_REFUSED' });
    await Promise.all(
      open.map((connection) => {
        connection.destroy();
        return once(connection, 'close');
      }),
    );
    (await client.dial(port)).destroy();
  });
});

describe('programs', () => {
  it('give their output by stream and their exit code', async () => {
    const program = await shell('echo out; echo err >&2; exit 3');
    expect(await readAll(program)).toEqual({ stdout: 'out\n', stderr: 'err\n' });
    expect(await program.exited).toEqual({ code: 3, oomKilled: false });
  });

  it('killed by a signal end with 128 and its number', async () => {
    const program = await shell('sleep 60');
    await program.signal(9);
    expect(await program.exited).toEqual({ code: 137, signal: 9, oomKilled: false });
    await readAll(program);
  });

  it('read their input to its end', async () => {
    const program = await shell('cat', { stdin: true });
    const data = randomBytes(700_000).toString('hex');
    const sending = program.write(Buffer.from(data)).then(() => program.closeStdin());
    expect((await readAll(program)).stdout === data).toBe(true);
    await sending;
    expect((await program.exited).code).toBe(0);
  });

  it('that stop reading do not hold up their writer', async () => {
    const program = await shell('head -c 3', { stdin: true });
    // Listened to from the start: the refusal may come before the output has been read.
    const refused = expect(program.write(Buffer.alloc(5_000_000, 97))).rejects.toMatchObject({ code: 'GUEST_EXEC' });
    expect((await readAll(program)).stdout).toBe('aaa');
    await refused;
  });

  it('without stdin read nothing', async () => {
    expect((await readAll(await shell('cat; echo end'))).stdout).toBe('end\n');
  });

  it('have the environment of the order, and HOME', async () => {
    const program = await client.spawn(processSpec(['env'], { env: ['PATH=/usr/bin:/bin', 'A=b c'] }));
    expect((await readAll(program)).stdout.split('\n').filter(Boolean).sort()).toEqual([
      expect.stringMatching(/^A=b c$/),
      expect.stringMatching(/^HOME=/),
      'PATH=/usr/bin:/bin',
    ]);
  });

  it('run in a folder that is made for them, within their limits', async () => {
    const cwd = join(agent.folder, 'new/folder');
    const program = await shell('pwd; ulimit -n', { cwd, limits: { nofile: { soft: 77, hard: 99 } } });
    expect((await readAll(program)).stdout).toBe(`${cwd}\n77\n`);
  });

  it('have a terminal of the size that was asked for, and are told when it changes', async () => {
    const program = await shell('stty size; trap "stty size; exit 5" WINCH; echo ready; while :; do sleep 0.05; done', {
      tty: true,
      size: { columns: 91, rows: 33 },
    });
    let text = '';
    for await (const chunk of program.output) {
      text += Buffer.from(chunk.data).toString();
      if (text.endsWith('ready\r\n')) {
        await program.resize({ columns: 120, rows: 40 });
      }
    }
    expect(text).toBe('33 91\r\nready\r\n40 120\r\n');
    expect((await program.exited).code).toBe(5);
  });

  it('end even when a child keeps their output open', async () => {
    const program = await shell('sleep 30 & echo left');
    expect((await readAll(program)).stdout).toBe('left\n');
    expect((await program.exited).code).toBe(0);
  });

  it.each([
    ['is missing from PATH', ['nonesuch'], 127, 'exec: "nonesuch": executable file not found in $PATH'],
    ['is missing', ['/none/such'], 127, 'exec: "/none/such": stat /none/such: no such file or directory'],
    ['is a folder', ['/etc'], 126, 'exec: "/etc": permission denied'],
  ])('that %s are refused in the words of docker', async (_, args, exitCode, message) => {
    const error = await client.spawn(processSpec(args)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(GuestExecError);
    expect(error).toMatchObject({ code: 'GUEST_EXEC', exitCode, message });
  });

  it('that are no programs are refused', async () => {
    const path = join(agent.folder, 'text');
    await writeFile(path, 'not a program');
    await chmod(path, 0o755);
    await expect(client.spawn(processSpec([path]))).rejects.toMatchObject({ exitCode: 126, message: `exec: "${path}": exec format error` });
  });

  it('of unknown users are refused', async () => {
    const spec = processSpec(['true'], { user: 'nobodyknows' });
    await expect(client.spawn(spec)).rejects.toThrow('unable to find user nobodyknows: no matching entries in passwd file');
    await expect(client.spawn(processSpec(['true'], { groups: ['nogroupatall'] }))).rejects.toThrow('unable to find group nogroupatall');
    await expect(client.spawn(processSpec(['true'], { capAdd: ['FLY'] }))).rejects.toMatchObject({
      reason: 'setting',
      message: 'unknown capability "FLY"',
    });
  });
});

describe('flow control', () => {
  it('stops a program whose output nobody takes, and no other', async () => {
    const silent = await shell('head -c 5000000 /dev/zero; echo done >&2');
    const others = await Promise.all([1, 2, 3].map((n) => shell(`head -c 2000000 /dev/zero | tr '\\0' ${n}`)));
    for (const other of others) {
      expect((await readAll(other)).stdout.length).toBe(2_000_000);
    }
    const stopped = await Promise.race([silent.exited, client.stats().then(() => 'still running')]);
    expect(stopped).toBe('still running');
    const output = await readAll(silent);
    expect([output.stdout.length, output.stderr]).toEqual([5_000_000, 'done\n']);
  });
});

describe('tar streams', () => {
  it('come and go with names, modes, links and contents', async () => {
    const from = join(agent.folder, 'from');
    await mkdir(join(from, 'sub'), { recursive: true });
    const long = 'n'.repeat(150);
    await writeFile(join(from, 'sub', long), randomBytes(100_000));
    await writeFile(join(from, 'tool'), '#!', { mode: 0o755 });
    await symlink('tool', join(from, 'link'));
    const tar = await collect(client.readTar(from));
    await client.writeTar(join(agent.folder, 'to'), chunks(tar.subarray(0, 700), tar.subarray(700)));
    const again = await collect(client.readTar(join(agent.folder, 'to/from')));
    expect(again.equals(tar)).toBe(true);
  });

  it('wait for the requests that they belong to, however many are sent at once', async () => {
    await writeFile(join(agent.folder, 'one'), 'x');
    const tar = await collect(client.readTar(join(agent.folder, 'one')));
    const targets = Array.from({ length: 20 }, (_, index) => join(agent.folder, `at-once-${index}`));
    await Promise.all(targets.map((target) => client.writeTar(target, chunks(tar.subarray(0, 512), tar.subarray(512)))));
    expect(await Promise.all(targets.map((target) => readFile(join(target, 'one'), 'utf8')))).toEqual(targets.map(() => 'x'));
  });

  it('never leave their target', async () => {
    const target = join(agent.folder, 'jail');
    await mkdir(target);
    await symlink('/', join(target, 'out'));
    const tar = await collect(client.readTar(join(agent.folder, 'text')));
    const renamed = (name: string) => {
      const bytes = Buffer.from(tar);
      bytes.fill(0, 0, 100);
      bytes.write(name, 0);
      bytes.fill(' ', 148, 156);
      bytes.write(
        bytes
          .subarray(0, 512)
          .reduce((sum, byte) => sum + byte, 0)
          .toString(8)
          .padStart(6, '0'),
        148,
      );
      bytes[154] = 0;
      return chunks(bytes);
    };
    await expect(client.writeTar(target, renamed('../evil'))).rejects.toThrow('its path leaves the folder');
    await client.writeTar(target, renamed('/abs'));
    await client.writeTar(target, renamed('out/through'));
    expect(await readFile(join(target, 'abs'), 'utf8')).toBe('not a program');
    expect(await readFile(join(target, 'through'), 'utf8')).toBe('not a program');
  });

  it('say why they are refused', async () => {
    const missing = { reason: 'notFound', message: '/none/such: no such file or directory' };
    await expect(collect(client.readTar('/none/such'))).rejects.toMatchObject(missing);
    await expect(collect(client.readTar('/etc/passwd/x'))).rejects.toMatchObject({ reason: 'notFound' });
    const damaged = client.writeTar(agent.folder, chunks(Buffer.alloc(512, 'x'), Buffer.alloc(3_000_000)));
    await expect(damaged).rejects.toMatchObject({ reason: 'archive', message: expect.stringContaining('damaged') });
  });
});

describe('a second host', () => {
  it('takes over when the first left in the middle of a frame', async () => {
    const own = await startHostAgent();
    const first = await connectGuest(own.socket, { timeout: 5000 });
    await first.prepare(machineConfig());
    await first.close();
    const torn = createConnection(own.socket);
    torn.end(encodeFrame({ type: FRAME.request, channel: 1, payload: Buffer.alloc(9000, 7) }).subarray(0, 4000));
    await new Promise((resolve) => torn.once('close', resolve));
    const second = await connectGuest(own.socket, { timeout: 5000 });
    expect(second.info.state).toBe('prepared');
    await second.sync();
    await second.close();
    await own.stop();
  });

  it('gets what the workload said and how it ended while nobody was there', async () => {
    const own = await startHostAgent();
    const first = await connectGuest(own.socket, { timeout: 5000 });
    await first.prepare(machineConfig());
    const gate = join(own.folder, 'gate');
    const spec = processSpec(['sh', '-c', `echo one; until test -e ${gate}; do sleep 0.02; done; echo two; exit 9`]);
    const started = await first.startWorkload(spec);
    const output = started.output[Symbol.asyncIterator]();
    expect(Buffer.from((await output.next()).value?.data ?? []).toString()).toBe('one\n');
    const waiting = output.next().catch(() => {});
    await first.stats();
    await first.close();
    await waiting;
    await writeFile(gate, '');
    const second = await connectGuest(own.socket, { timeout: 5000 });
    expect(['running', 'exited']).toContain(second.info.state);
    const program = await second.attachWorkload();
    expect((await readAll(program)).stdout).toBe('two\n');
    expect(await program.exited).toEqual({ code: 9, oomKilled: false });
    await second.close();
    const third = await connectGuest(own.socket, { timeout: 5000 });
    expect(third.info).toMatchObject({ state: 'exited', workload: { exit: { code: 9, oomKilled: false } } });
    expect(await (await third.attachWorkload()).exited).toEqual({ code: 9, oomKilled: false });
    await third.close();
    await own.stop();
  });

  it('hears how much was lost when the workload said more than is kept, and the workload never waited', async () => {
    const own = await startHostAgent();
    const first = await connectGuest(own.socket, { timeout: 5000 });
    await first.prepare(machineConfig());
    const go = join(own.folder, 'go');
    const done = join(own.folder, 'done');
    await first.startWorkload(
      processSpec([
        'sh',
        '-c',
        `until test -e ${go}; do sleep 0.02; done; head -c 3000000 /dev/zero; echo; echo last; touch ${done}; sleep 60`,
      ]),
    );
    await first.close();
    await writeFile(go, '');
    for (let found = false; !found; ) {
      found = await readFile(done).then(
        () => true,
        () => false,
      );
    }
    const second = await connectGuest(own.socket, { timeout: 5000 });
    const program = await second.attachWorkload();
    let text = '';
    for await (const chunk of program.output) {
      text += Buffer.from(chunk.data).toString('latin1');
      if (text.endsWith('last\n')) {
        break;
      }
    }
    const lost = Number(/\[hypr: (\d+) bytes of output were lost/.exec(text)?.[1]);
    expect(lost).toBeGreaterThan(1_900_000);
    expect(text.replace(/\n\[hypr:.*\]\n/, '').length + lost).toBe(3_000_006);
    await second.close();
    await own.stop();
  });
});

describe('power off', () => {
  it('stops the workload by its signal, delivers the rest of its output, and ends', async () => {
    const own = await startHostAgent();
    const guest = await connectGuest(own.socket, { timeout: 5000 });
    await guest.prepare(machineConfig());
    const program = await guest.startWorkload(
      processSpec(['sh', '-c', 'trap "echo bye; exit 4" TERM; echo up; while :; do sleep 0.05; done']),
    );
    const output = program.output[Symbol.asyncIterator]();
    await output.next();
    const rest = output.next();
    expect(await guest.powerOff({ stopSignal: 15, graceMs: 10_000 })).toEqual({ code: 4, oomKilled: false });
    expect(Buffer.from((await rest).value?.data ?? []).toString()).toBe('bye\n');
    await guest.closed;
    expect(await own.exited).toBe(0);
    await own.stop();
  });

  it('kills what does not listen when the grace is over', async () => {
    const own = await startHostAgent();
    const guest = await connectGuest(own.socket, { timeout: 5000 });
    await guest.prepare(machineConfig());
    const program = await guest.startWorkload(processSpec(['sh', '-c', 'trap "" TERM; echo up; while :; do sleep 0.05; done']));
    const output = program.output[Symbol.asyncIterator]();
    await output.next();
    void output.next().catch(() => {});
    expect(await guest.powerOff({ stopSignal: 15, graceMs: 100 })).toMatchObject({ code: 137, signal: 9 });
    await own.stop();
  });
});

describe('a machine', () => {
  it('refuses what does not fit its state', async () => {
    const own = await startHostAgent();
    const guest = await connectGuest(own.socket, { timeout: 5000 });
    expect(guest.info).toMatchObject({ state: 'waiting', protocol: 1 });
    await expect(guest.spawn(processSpec(['true']))).rejects.toMatchObject({ reason: 'outOfTurn', message: 'the machine is not prepared' });
    await expect(guest.attachWorkload()).rejects.toThrow('no workload was started');
    await guest.prepare(machineConfig());
    await expect(guest.prepare(machineConfig())).rejects.toThrow('prepared already');
    await expect(guest.startWorkload(processSpec(['nonesuch']))).rejects.toMatchObject({ exitCode: 127 });
    const program = await guest.startWorkload(processSpec(['true']));
    await readAll(program);
    await program.exited;
    await expect(guest.startWorkload(processSpec(['true']))).rejects.toThrow('started already');
    await expect(guest.spawn(processSpec(['true']))).rejects.toThrow('the workload has ended');
    await guest.close();
    await own.stop();
  });

  it('refuses transfers before it is prepared, by a path that is not absolute, and of layers under a workload', async () => {
    const own = await startHostAgent();
    const guest = await connectGuest(own.socket, { timeout: 5000 });
    const reasons: unknown[] = [];
    const refused = async (work: Promise<unknown>) => reasons.push(await work.then(() => 'done', refusalReason));
    await refused(collect(guest.readTar('/etc')));
    await refused(guest.pushLayer());
    await guest.setNames({ db: ['10.0.0.2'] });
    await guest.sync();
    await guest.prepare(machineConfig());
    await refused(collect(guest.readTar('etc')));
    const program = await guest.startWorkload(processSpec(['sleep', '60']));
    await refused(guest.pushLayer());
    await refused(guest.dropLayers(0));
    expect(reasons).toEqual(['outOfTurn', 'outOfTurn', 'malformed', 'outOfTurn', 'outOfTurn']);
    await program.signal(9);
    await guest.close();
    await own.stop();
  });

  it('refuses a request that it does not know, at once', async () => {
    const own = await startHostAgent();
    const connection = await openConnection(own.socket, { timeout: 5000 });
    const requests = new Requests(connection);
    connection.onFrame((frame) => requests.accept(frame));
    await requests.ask({ opcode: OPCODE.prepare, body: encodeMachine(machineConfig()), what: 'preparing' });
    const asked = requests.ask({ opcode: 999, what: 'something new', ms: 5000 });
    await expect(asked).rejects.toMatchObject({ reason: 'malformed', message: 'this agent does not know the request' });
    await connection.close();
    await own.stop();
  });

  it('takes a configuration longer than a frame', async () => {
    const files = Array.from({ length: 20 }, (_, n) => ({ path: `/f${n}`, content: randomBytes(50_000), mode: 0o644, uid: 0, gid: 0 }));
    await client.writeFiles(files);
    await Promise.all([client.sync(), client.writeFiles(files), client.stats(), client.writeFiles(files)]);
  });

  it('tells of ports that begin and cease to be listened on', async () => {
    const seen: string[] = [];
    for await (const event of client.events()) {
      seen.push(event.type);
      if (event.type === 'listening') {
        break;
      }
    }
    expect(seen).toContain('listening');
  });
});
