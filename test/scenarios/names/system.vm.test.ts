import { cp, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { mustRun } from '../../../base/host/process.ts';
import { homePaths } from '../../../base/paths.ts';
import { root as checkout, hyprBin, mustHypr } from '../../support/cli.ts';
import { DebianHost, type HostResolver } from '../../support/debian/debian-host.ts';
import { fetchDebianRoot } from '../../support/debian/debian-root.ts';
import { noNamespace } from '../../support/mount-namespace.ts';
import { needs } from '../../support/needs.ts';

const MINUTES = 60_000;
/** Of Firefox, below the home. */
const PROFILE = '.mozilla/firefox/own.default';

const FILE = `
name: shop
services:
  web:
    image: node:20-slim
    volumes: ['./server.mjs:/server.mjs:ro']
    command: [node, /server.mjs, '3000']
    stop_grace_period: 0s
    healthcheck: {test: [CMD, bash, -c, 'exec 3<>/dev/tcp/127.0.0.1/3000'], interval: 2s, timeout: 30s, start_period: 120s}
  db:
    image: postgres:17
    environment: {POSTGRES_USER: shop, POSTGRES_PASSWORD: secret}
    stop_grace_period: 0s
    healthcheck: {test: [CMD, pg_isready, -q, -h, 127.0.0.1, -U, shop], interval: 2s, timeout: 30s, start_period: 120s}
`;

/** Files with their digests, modes and links, without caches and what NetworkManager notes about itself; what the network and the resolver are set to. */
const LISTING = `cd /
find etc usr/local var "$0" \\( -path var/cache -o -path var/lib/NetworkManager \\) -prune -o -type f -exec sha256sum {} + | sort -k 2
find etc usr/local var "$0" \\( -path var/cache -o -path var/lib/NetworkManager \\) -prune -o -printf '%p %M %l\\n' | sort
sysctl net.ipv4.ip_unprivileged_port_start
ip -o address | sed 's/^[0-9]*: //'
command -v resolvectl >/dev/null && [ -e /run/systemd/resolve/stub-resolv.conf ] && { resolvectl dns; resolvectl domain; } | grep -v '^Link'
true`;

/** The network's parts of a page; an upload and a download are for browsers.vm.test.ts. */
const PAGE = `(async () => ({ title: document.title, isSecure: isSecureContext, worker: await tryWorker(), socket: await tryWebSocket(),
  protocol: performance.getEntriesByType('navigation')[0].nextHopProtocol }))()`;

needs(noNamespace()).describe('names for every program of a host, by setup --system', () => {
  let root: string;
  beforeAll(async () => {
    root = await fetchDebianRoot(homePaths().cache);
  }, 10 * MINUTES);

  describe('with systemd-resolved', () => {
    const place = new Place();
    const { hypr } = place;
    let before: string;

    beforeAll(async () => {
      await place.make();
      await writeFile(join(place.folder, 'shop/compose.yaml'), FILE);
      await writeFile(join(place.folder, 'shop/server.mjs'), await readFile(join(checkout, 'fixtures/browser/server.mjs')));
      // No network leads out of the host, so the images are there before.
      await mustHypr(['compose', 'pull', '-q'], {
        cwd: join(place.folder, 'shop'),
        env: { ...place.env(), HYPR_REGISTRY_MIRRORS: inject('mirrors') },
      });
      await place.open(root, 'systemd-resolved');
      before = await place.listing();
      await hypr(['setup', '--browser', '--system', '--yes'], { isRoot: true });
      await hypr(['compose', 'up', '-d', '--wait'], { timeout: 5 * MINUTES });
    }, 10 * MINUTES);
    afterAll(async () => {
      await hypr(['compose', 'down', '-v', '-t', '0']);
      await place.close();
    });

    test('https by name, without a port, is what url prints, and answers curl, python and node', async () => {
      const { host } = place;
      expect(await hypr(['url', 'web'])).toBe('https://web.shop.hypr/\n');
      const url = 'https://web.shop.hypr/';
      expect(await host.must(['curl', '-fsS', '-w', '%{http_version} %{ssl_verify_result}', url])).toMatch(/hello from a microVM.*2 0$/s);
      expect(await host.must(['python3', '-c', `import urllib.request as u; print(u.urlopen("${url}").status)`])).toBe('200\n');
      const script = `fetch("${url}").then((answer) => console.log(answer.status))`;
      const bundle = { NODE_EXTRA_CA_CERTS: '/etc/ssl/certs/ca-certificates.crt' };
      expect(await host.must([process.execPath, '-e', script], { env: bundle })).toBe('200\n');
    });

    test('every port that a service listens on answers at its own name, without ports:', async () => {
      const { host } = place;
      const query = ['psql', '-h', 'db.shop.hypr', '-U', 'shop', '-Atc', 'select 6 * 7'];
      expect(await host.must(query, { env: { PGPASSWORD: 'secret', PGSSLMODE: 'disable' } })).toBe('42\n');
      expect(await host.must(['curl', '-fsS', '-o', '/dev/null', '-w', '%{http_code}', 'http://web.shop.hypr:3000/'])).toBe('200');
      const [web, db] = await Promise.all(['web', 'db'].map((name) => host.must(['getent', 'ahostsv4', `${name}.shop.hypr`])));
      expect(web).toMatch(/^127\./);
      expect(web).not.toBe(db);
    });

    test('no other name is asked of hypr, and no name of the domain of anybody else', async () => {
      expect((await place.host.run(['getent', 'ahostsv4', 'nobody.shop.hypr'])).code).toBe(2);
      await place.expectOthersElsewhere();
    });

    test.each(['chromium', 'firefox'])('%s opens the page with no proxy', async (browser) => {
      // Of its own: what it writes to its home is not the set-up's.
      const home = join(place.folder, browser);
      await cp(join(place.folder, 'user'), home, { recursive: true });
      const profile = browser === 'firefox' ? ['--profile', join(home, PROFILE)] : [];
      const visit = join(checkout, 'test/support/debian/visit.ts');
      const command = [...place.host.join(), process.execPath, visit, browser, root, home, 'https://web.shop.hypr/', PAGE, ...profile];
      const { stdout } = await mustRun(command[0] ?? '', command.slice(1), { timeout: 2 * MINUTES });
      expect(JSON.parse(stdout)).toEqual({ title: 'page', isSecure: true, worker: true, socket: 'over a WebSocket', protocol: 'h2' });
    });

    test('names go with the stack; undo leaves the host as it was, byte for byte', async () => {
      await hypr(['compose', 'down', '-v', '-t', '0']);
      expect((await place.host.run(['getent', 'ahostsv4', 'web.shop.hypr'])).code).toBe(2);
      expect(await place.listing()).not.toBe(before);
      await hypr(['setup', '--undo', '--yes'], { isRoot: true });
      expect(await place.listing()).toBe(before);
      await place.expectOthersElsewhere();
    });
  });

  // What differs is who asks hypr, so the edge alone will do.
  test.each(['dnsmasq', 'networkmanager-dnsmasq', 'networkmanager-resolved'] as const)(
    '%s asks hypr for its names, and undo leaves no trace',
    async (resolver) => {
      const place = new Place();
      await place.make();
      try {
        const { host } = await place.open(root, resolver);
        const before = await place.listing();
        await place.hypr(['setup', '--system', '--yes'], { isRoot: true });
        const serve = `"$0" proxy serve & until curl -sS -o /dev/null -w '%{http_version} %{http_code}\n' https://index.hypr/ 2>/dev/null; do sleep 0.1; done; kill $!; wait`;
        const answers = () => host.must(['bash', '-c', serve, hyprBin], { env: place.env() });
        expect(await answers()).toContain('2 200\n');
        await place.expectOthersElsewhere();
        if (resolver !== 'dnsmasq') {
          await host.must(['systemctl', 'restart', 'NetworkManager'], { isRoot: true });
          expect(await answers()).toContain('2 200\n');
          await place.expectOthersElsewhere();
        }
        expect(await place.listing()).not.toBe(before);
        await place.hypr(['setup', '--undo', '--yes'], { isRoot: true });
        expect(await place.listing()).toBe(before);
        await place.expectOthersElsewhere();
      } finally {
        await place.close();
      }
    },
  );
});

/** A Debian with a user and a folder for a project; `listing` is all that a set-up may change. */
class Place {
  folder = '';
  #host: DebianHost | undefined;

  get host(): DebianHost {
    if (this.#host === undefined) {
      throw new Error('the host is not there');
    }
    return this.#host;
  }

  env(): NodeJS.ProcessEnv {
    const [user, home, run] = ['user', 'hypr', 'run'].map((name) => join(this.folder, name));
    return { HOME: user, USER: 'ada', HYPR_HOME: home, HYPR_RUNTIME_DIR: run, XDG_CURRENT_DESKTOP: '' };
  }

  async make(): Promise<void> {
    this.folder = await mkdtemp(join(tmpdir(), 'hypr-sys-'));
    const folders = [join('user', PROFILE), 'shop', 'hypr/cache', 'run'];
    await Promise.all(folders.map((name) => mkdir(join(this.folder, name), { recursive: true, mode: 0o700 })));
    await symlink(await toolchain(), join(this.folder, 'hypr/toolchain'));
  }

  async open(root: string, resolver: HostResolver): Promise<this> {
    const folders = [checkout.replace(/\/$/, ''), dirname(await toolchain())];
    this.#host = await DebianHost.open({ root, state: join(this.folder, 'host'), resolver, folders });
    await this.host.must(['certutil', '-N', '-d', `sql:${join(this.folder, 'user', PROFILE)}`, '--empty-password']);
    return this;
  }

  readonly hypr = (args: readonly string[], options: { isRoot?: boolean; timeout?: number } = {}): Promise<string> =>
    this.host.must([hyprBin, ...args], { cwd: join(this.folder, 'shop'), env: this.env(), ...options });

  listing(): Promise<string> {
    return this.host.must(['sh', '-c', LISTING, join(this.folder, 'user')]);
  }

  /** Names of others are answered by the name server elsewhere, which was asked for none of the domain's. */
  async expectOthersElsewhere(): Promise<void> {
    expect(await this.host.must(['getent', 'ahostsv4', 'elsewhere.example'])).toMatch(/^203\.0\.113\.7 /);
    const asked = await readFile(join(this.folder, 'host/upstream.log'), 'utf8');
    expect(asked).toContain('elsewhere.example');
    expect(asked).not.toMatch(/\.hypr\b/);
  }

  async close(): Promise<void> {
    await this.#host?.close();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

const toolchain = (): Promise<string> => realpath(join(inject('hyprHome'), 'toolchain'));
