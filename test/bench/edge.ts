import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { neverAborts } from '../../base/abort.ts';
import { openApt } from '../../base/host/apt.ts';
import { exists } from '../../base/host/files.ts';
import { withLock } from '../../base/host/lock.ts';
import { mustRun } from '../../base/host/process.ts';
import { homePaths } from '../../base/paths.ts';
import { serveEdge } from '../../net/edge/edge.ts';
import type { NamedService } from '../../net/names/directory.ts';
import { freePort } from '../support/free-port.ts';
import { reportRow } from './measure.ts';

/** Connections at a time; how long each figure is measured, and how often, in turns. */
const CONNECTIONS = [1, 64, 1000];
const SECONDS = 4;
const ROUNDS = 3;
const BIG_MIB = 256;

/**
 * The edge beside nginx as a reverse proxy of the same server, measured by wrk in turns: requests per second, p99, CPU of the proxy for each request,
 * and MB/s of one big answer. nginx is measured twice: as `proxy_pass` alone does it (a connection to the server for each request), and with connections kept.
 * The server is an nginx of its own, so that the proxies are what is measured; all of them and wrk share this machine.
 */
export const benchEdge = async (): Promise<void> => {
  const { nginx, wrk } = await findPrograms();
  const folder = await mkdtemp(join(tmpdir(), 'hypr-bench-'));
  const children: ChildProcess[] = [];
  try {
    const [server, plain, kept] = [await freePort(), await freePort(), await freePort()];
    await writeFile(join(folder, 'big'), Buffer.alloc(BIG_MIB * 2 ** 20, 'x'));
    await writeFile(join(folder, 'server.conf'), serverConfig(folder, server));
    await writeFile(join(folder, 'proxy.conf'), proxyConfig(folder, { server, plain, kept }));
    for (const name of ['server', 'proxy']) {
      children.push(
        spawn(nginx[0], [...nginx.slice(1), '-p', folder, '-c', join(folder, `${name}.conf`)], { stdio: ['ignore', 'ignore', 'inherit'] }),
      );
    }
    const edge = spawn(process.execPath, [process.argv[1] ?? '', 'edge-server', String(server)], { stdio: ['pipe', 'pipe', 'inherit'] });
    children.push(edge);
    const [said] = (await once(edge.stdout, 'data')) as [Buffer];
    const nginxPid = children[1]?.pid ?? 0;
    const proxies: Proxies = {
      'nginx-plain': { port: plain, pid: nginxPid },
      'nginx-kept': { port: kept, pid: nginxPid },
      edge: { port: Number(said), pid: edge.pid ?? 0 },
    };
    await Promise.all([server, plain, kept].map(untilListening));
    await measureRequests(wrk, proxies);
    await measureBig(proxies);
  } finally {
    for (const child of children.filter((each) => each.exitCode === null)) {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    }
    await rm(folder, { recursive: true, force: true });
  }
};

/** `edge-server PORT`: the edge in a process of its own, before a server of this host; prints its port, ends with its input. */
export const serveBenchEdge = async (port: number): Promise<void> => {
  const service: NamedService = {
    ...{ host: 'web.bench', stack: 'bench', service: 'web', state: 'running', address: '127.0.0.1', isBound: false, https: true },
    ports: [{ port: 80, protocol: 'http' }],
    webPort: 80,
    connect: async () => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      await once(socket, 'connect');
      return socket;
    },
  };
  const directory = {
    find: (host: string) => (host === 'web.bench' ? service : undefined),
    list: () => [service],
    onChange: () => () => {},
    close: () => {},
  };
  const edge = await serveEdge({ directory, domain: 'hypr', listen: [{ address: '127.0.0.1', port: 0 }] });
  process.stdout.write(`${edge.addresses[0]?.port}\n`);
  process.stdin.resume();
  await once(process.stdin, 'end');
  await edge.close();
};

type Proxies = Readonly<Record<string, { readonly port: number; readonly pid: number }>>;

interface Load {
  /** Of the proxy, for each request: hardly depends on what else the machine does. */
  readonly cpu: number;
  readonly rate: number;
  readonly p99: number;
}

const measureRequests = async (wrk: Command, proxies: Proxies): Promise<void> => {
  for (const connections of CONNECTIONS) {
    const loads: Record<string, Load[]> = {};
    for (let round = 0; round <= ROUNDS; round++) {
      for (const [name, proxy] of Object.entries(proxies)) {
        const load = await loadWith(wrk, proxy, connections, round === 0 ? 2 : SECONDS);
        // The first round warms up.
        if (round > 0) {
          loads[name] = [...(loads[name] ?? []), load];
        }
      }
    }
    for (const [name, all] of Object.entries(loads)) {
      const middle = (pick: (load: Load) => number) => all.map(pick).sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0;
      reportRow({
        name: `edge-requests`,
        proxy: name,
        connections,
        requestsPerSecond: middle((load) => load.rate),
        p99Ms: middle((load) => load.p99),
        cpuMicroseconds: middle((load) => load.cpu),
        runs: all.length,
      });
    }
  }
};

const loadWith = async (wrk: Command, { port, pid }: Proxies[string], connections: number, seconds: number): Promise<Load> => {
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '-H', 'Host: web.bench.localhost', `http://127.0.0.1:${port}/`];
  const before = await cpuOf(pid);
  const { stdout } = await mustRun(wrk[0], [...wrk.slice(1), ...args], { signal: neverAborts() });
  const used = (await cpuOf(pid)) - before;
  const [, requests] = /(\d+) requests in/.exec(stdout) ?? [];
  const [, rate] = /Requests\/sec:\s+([\d.]+)/.exec(stdout) ?? [];
  const [, p99, unit] = /99%\s+([\d.]+)(us|ms|s)/.exec(stdout) ?? [];
  if (rate === undefined || p99 === undefined || /Non-2xx/.test(stdout)) {
    throw new Error(`wrk said: ${stdout}`);
  }
  return { cpu: used / Number(requests), rate: Number(rate), p99: Number(p99) * ({ us: 0.001, ms: 1, s: 1000 }[unit ?? ''] ?? 1) };
};

const measureBig = async (proxies: Proxies): Promise<void> => {
  const rates: Record<string, number[]> = {};
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, proxy] of Object.entries(proxies)) {
      const begin = performance.now();
      const bytes = await download(proxy.port);
      const rate = bytes / 1e3 / (performance.now() - begin);
      if (round > 0) {
        rates[name] = [...(rates[name] ?? []), rate];
      }
    }
  }
  for (const [name, all] of Object.entries(rates)) {
    reportRow({
      name: 'edge-download',
      proxy: name,
      megabytesPerSecond: all.sort((a, b) => a - b)[Math.floor(all.length / 2)],
      runs: all.length,
    });
  }
};

/** Reads a big answer to its end and gives its bytes. */
const download = async (port: number): Promise<number> => {
  const socket: Socket = connect({ port, host: '127.0.0.1' });
  socket.write('GET /big HTTP/1.1\r\nHost: web.bench.localhost\r\nConnection: close\r\n\r\n');
  let bytes = 0;
  socket.on('data', (chunk) => {
    bytes += chunk.length;
  });
  await once(socket, 'close');
  if (bytes < BIG_MIB * 2 ** 20) {
    throw new Error(`only ${bytes} bytes came`);
  }
  return bytes;
};

/** Microseconds of CPU that a process has used (proc(5): utime and stime, in ticks of 10 ms). */
const cpuOf = async (pid: number): Promise<number> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
};

const untilListening = async (port: number): Promise<void> => {
  for (const deadline = Date.now() + 10_000; ; ) {
    const socket = connect(port, '127.0.0.1');
    const [name] = await Promise.race([once(socket, 'connect').then(() => ['connect']), once(socket, 'close').then(() => ['close'])]).catch(
      () => ['close'],
    );
    socket.destroy();
    if (name === 'connect') {
      return;
    }
    if (Date.now() > deadline) {
      throw new Error(`nothing listens on ${port}`);
    }
    // nginx does not tell when it listens.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

const common = (
  folder: string,
  name: string,
): string => `daemon off; master_process off; pid ${folder}/${name}.pid; error_log stderr crit;${process.getuid?.() === 0 ? ' user root;' : ''}
events { worker_connections 8192; }
http { access_log off; keepalive_requests 1000000000; sendfile on;
${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder}/${name}-${kind};`).join(' ')}
`;

const serverConfig = (folder: string, port: number): string => `${common(folder, 'server')}
server { listen 127.0.0.1:${port} backlog=4096;
  location = / { default_type text/html; return 200 "<!doctype html><title>A small page</title><p>Some words, as many as a small page has.\\n"; }
  location = /big { root ${folder}; }
} }
`;

const proxyConfig = (folder: string, ports: { server: number; plain: number; kept: number }): string => `${common(folder, 'proxy')}
upstream kept { server 127.0.0.1:${ports.server}; keepalive 1024; keepalive_requests 1000000000; }
server { listen 127.0.0.1:${ports.plain} backlog=4096; location / { proxy_pass http://127.0.0.1:${ports.server}; } }
server { listen 127.0.0.1:${ports.kept} backlog=4096; location / { proxy_pass http://kept; proxy_http_version 1.1; proxy_set_header Connection ""; } }
}
`;

type Command = readonly [string, ...string[]];

/** Debian's nginx and wrk with all they need, unpacked in the cache and not installed. */
const findPrograms = async (): Promise<{ nginx: Command; wrk: Command }> => {
  const cache = join(homePaths().cache, 'bench');
  const prefix = join(cache, 'edge');
  await mkdir(cache, { recursive: true });
  await withLock(join(cache, 'lock'), { what: 'the programs of the bench' }, async () => {
    if (!(await exists(prefix))) {
      const apt = await openApt(join(cache, 'apt'), undefined, neverAborts());
      const staging = `${prefix}.${process.pid}.tmp`;
      await mkdir(staging, { recursive: true });
      for (const path of await apt.download(['nginx', 'wrk'])) {
        await mustRun('dpkg-deb', ['-x', path, staging], { signal: neverAborts() });
      }
      await rename(staging, prefix);
      await apt.clean();
    }
  });
  const libraries = join(prefix, 'usr', 'lib', 'x86_64-linux-gnu');
  const through = (...path: string[]): Command => [
    join(libraries, 'ld-linux-x86-64.so.2'),
    '--library-path',
    libraries,
    join(prefix, 'usr', ...path),
  ];
  return { nginx: through('sbin', 'nginx'), wrk: through('bin', 'wrk') };
};
