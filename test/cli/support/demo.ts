/**
 * The real CLI over a fake engine, to look at the dashboard by eye:
 *   npx esbuild test/cli/support/demo.ts --bundle --platform=node --format=esm --outfile=demo.mjs … && node demo.mjs up
 * DEMO_RATE: log lines per second of the web service (default 2).
 */
import { homedir } from 'node:os';
import { Interrupts } from '../../../cli/core/interrupts.ts';
import { Terminal } from '../../../cli/core/terminal.ts';
import { runCli } from '../../../cli/entry/run.ts';
import { fakeProject } from './fake-context.ts';
import { FakeEngine, log, replica } from './fake-engine.ts';

const fake = new FakeEngine();
const rate = Number(process.env.DEMO_RATE ?? 2);
const started = Date.now();
const ports = [{ protocol: 'tcp' as const, hostAddress: '127.0.0.1', hostPort: 8080, port: 80 }];

const push = (status: ReturnType<typeof replica>): void => {
  fake.replicas = [...fake.replicas.filter((each) => each.name !== status.name), status];
  fake.events.push({ type: 'replica', time: Date.now(), action: 'update', replica: status });
};

fake.onUp = async (onEvent) => {
  for (const service of ['api', 'db', 'web']) {
    const id = `Container shop-${service}-1`;
    onEvent({ type: 'progress', time: Date.now(), progress: { id, status: 'working', text: 'Starting', current: 3e6, total: 9e6 } });
    push(replica({ service, state: 'starting', createdAt: Date.now() }));
    await new Promise((resolve) => setTimeout(resolve, 400));
    onEvent({ type: 'progress', time: Date.now(), progress: { id, status: 'done', text: 'Started' } });
    const now = Date.now();
    push(
      replica({
        service,
        startedAt: now,
        createdAt: now,
        bootMs: 312,
        health: service === 'web' ? 'healthy' : 'none',
        ports: service === 'web' ? ports : [],
      }),
    );
  }
  const api = replica({
    service: 'api',
    state: 'exited',
    exitCode: 137,
    restarts: 3,
    reason: 'killed: out of memory',
    finishedAt: Date.now(),
  });
  push(api);
};
fake.onVerb = async (verb) => {
  await new Promise((resolve) => setTimeout(resolve, 300));
  if (verb === 'stop' || verb === 'kill') {
    for (const each of fake.replicas.filter((status) => status.state === 'running')) {
      push({ ...each, state: 'exited', exitCode: 0, finishedAt: Date.now() });
    }
  }
};

let count = 0;
const timer = setInterval(
  () => {
    for (let i = 0; i < Math.max(1, rate / 20); i += 1) {
      count += 1;
      const time = Date.now();
      const record = log('web', `\u001b[32mGET\u001b[0m /item/${count} 200 \ttook ${count % 97}ms ${'x'.repeat(count % 120)}`, { time });
      fake.events.push({ type: 'log', time, record });
    }
    for (const name of ['shop-web-1', 'shop-db-1']) {
      const cpu = 20 + 60 * Math.abs(Math.sin((Date.now() - started) / 3000));
      const usage = {
        replica: name,
        cpu,
        memory: 84.1 * 2 ** 20,
        memoryLimit: 2 ** 30,
        hostMemory: 0,
        netRx: 0,
        netTx: 0,
        blockRead: 0,
        blockWrite: 0,
        pids: 3,
      };
      fake.events.push({ type: 'usage', time: Date.now(), usage });
    }
  },
  Math.max(50, 1000 / rate),
);

const terminal = new Terminal();
process.on('exit', () => terminal.restore());
const interrupts = new Interrupts(() => process.exit(130));
process.on('SIGINT', () => interrupts.fire());
process.on('SIGHUP', () => process.exit(129));

const code = await runCli(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  cwd: process.cwd(),
  home: homedir(),
  now: Date.now,
  interrupts,
  terminal,
  settings: { path: '', read: () => ({}), write: async () => {} },
  engine: async () => fake.api(),
  loadProject: async () => fakeProject({ services: { web: {}, db: {}, api: {} } }),
  config: async () => '',
});
clearInterval(timer);
process.exit(code);
