// `npm run screens`: docs/screens/*.png, pictures of the real program on a real terminal (tmux) over real machines.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Tmux } from '../../test/support/clients/tmux.ts';
import { ensureBuilt } from '../ensure-built.mjs';
import { root, run } from '../own-node.mjs';
import { serveFixtures } from '../serve-fixtures.mjs';
import { installSite } from './install.mjs';
import { toSvg } from './svg.mjs';

const COLUMNS = 120;
const ROWS = 28;
const LONG = 240_000;
const PALETTE = 64;

const COMPOSE = `
services:
  cache: { image: busybox, command: sh -c 'echo ready to accept connections; sleep 100000' }
  db:
    image: busybox
    command: sh -c 'echo "database system is starting up"; sleep 1; echo "database system is ready"; touch /tmp/ready; sleep 100000'
    healthcheck: { test: test -e /tmp/ready, interval: 1s, retries: 60 }
    volumes: ["data:/data"]
  web:
    build: ./web
    ports: ["127.0.0.1:0:80"]
    depends_on: { db: { condition: service_healthy }, cache: { condition: service_started } }
  worker:
    image: busybox
    restart: always
    command: sh -c 'echo "ERROR cannot reach the queue at mq:5672" >&2; sleep 2; exit 3'
volumes: { data: {} }
`;
/** The build must be seen, so its steps are none that were built before. */
const DOCKERFILE = `FROM busybox
ENV BUILT=${Date.now()}
COPY www /www
RUN for part in styles scripts pages; do echo "compiling $part"; sleep 1; done
CMD ["sh", "-c", "echo '{\\"level\\":\\"info\\",\\"msg\\":\\"listening\\",\\"port\\":80}'; (sleep 1; for p in / /cart /items/7 /items/9; do echo \\"GET $p 200\\"; echo \\"WARN slow query: 812 ms\\"; sleep 1; done) & exec httpd -f -p 80 -h /www"]
`;

const shoot = async (terminal, name) => {
  await sleep(500);
  const svg = toSvg(await terminal.screen({ colours: true }), COLUMNS);
  const { Resvg } = await import('@resvg/resvg-js');
  const { default: upng } = await import('@pdf-lib/upng');
  const image = new Resvg(svg, { fitTo: { mode: 'zoom', value: 1.5 }, font: { defaultFontFamily: 'DejaVu Sans Mono' } }).render();
  const pixels = new Uint8Array(image.pixels);
  // A palette: text of few colours needs no more, and is a third of the bytes.
  const png = (upng.default ?? upng).encode([pixels.buffer], image.width, image.height, PALETTE);
  writeFileSync(join(root, 'docs', 'screens', `${name}.png`), Buffer.from(png));
};

const leave = async (terminal) => {
  await terminal.key('Escape');
  await sleep(400);
};

const play = async (terminal, hypr) => {
  await terminal.line(`clear; ${hypr} up --build`);
  await terminal.until('compiling scripts', LONG);
  await shoot(terminal, 'build');
  await terminal.until(/web-1 +up \d+s/, LONG);
  await terminal.until(/worker-1 +restarting exit 3 ×[3-9]/, LONG);
  await terminal.until('/items/9', LONG);
  await shoot(terminal, 'dashboard');
  await terminal.type('jjj');
  await terminal.until('logs of worker-1');
  await terminal.type('i');
  await terminal.until('its last lines', LONG);
  await shoot(terminal, 'why');
  await leave(terminal);
  await terminal.type('x');
  await shoot(terminal, 'graph');
  await leave(terminal);
  await terminal.type('?');
  await shoot(terminal, 'keys');
  await leave(terminal);
  await terminal.type('V');
  await terminal.until('shop_data', LONG);
  await shoot(terminal, 'volumes');
  await leave(terminal);
  await terminal.type('d');
  await terminal.until('goes on without the dashboard');
};

await ensureBuilt();
await installSite();
const hypr = join(root, 'bin', 'hypr');
const folder = mkdtempSync(join(tmpdir(), 'hypr-screens-'));
const cwd = join(folder, 'shop');
mkdirSync(join(cwd, 'web', 'www'), { recursive: true });
mkdirSync(join(root, 'docs', 'screens'), { recursive: true });
writeFileSync(join(cwd, 'compose.yaml'), COMPOSE);
writeFileSync(join(cwd, 'web', 'Dockerfile'), DOCKERFILE);
writeFileSync(join(cwd, 'web', 'www', 'index.html'), 'hello');
const registry = await serveFixtures(['busybox']);
const env = { HYPR_REGISTRY_MIRRORS: registry.mirrors };
await run(hypr, ['setup', '--progress', 'quiet']);
const terminal = await Tmux.open({ columns: COLUMNS, rows: ROWS, cwd, env });
try {
  await play(terminal, hypr);
} finally {
  await terminal.close();
  await run(hypr, ['down', '-v', '-t', '1', '--progress', 'quiet'], { cwd });
  await registry.close();
  rmSync(folder, { recursive: true, force: true });
}
