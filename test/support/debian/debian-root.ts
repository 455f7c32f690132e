import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { neverAborts } from '../../../base/abort.ts';
import { exists } from '../../../base/host/files.ts';
import { withLock } from '../../../base/host/lock.ts';
import { mustRun } from '../../../base/host/process.ts';
import { shortHash } from '../../../base/paths.ts';
import { openPackages } from '../../../vmm/toolchain/package-source.ts';
import { unpackAll } from '../../../vmm/toolchain/prefix.ts';
import { inRoot } from '../browsers.ts';

/** What browsers need. */
const BROWSERS = ['chromium', 'firefox-esr', 'libnss3-tools', 'fonts-dejavu-core', 'libglib2.0-bin', 'gsettings-desktop-schemas'];
/** What a host is made of on which `hypr setup --system` is tried, and the programs that go by name there. */
const HOST = [
  ...[
    'bash',
    'dash',
    'coreutils',
    'findutils',
    'grep',
    'sed',
    'util-linux',
    'procps',
    'iproute2',
    'libc-bin',
    'hostname',
    'netcat-openbsd',
  ],
  ...['systemd', 'systemd-resolved', 'dbus-bin', 'dbus-daemon', 'dnsmasq-base', 'network-manager', 'ca-certificates', 'openssl'],
  ...['curl', 'postgresql-client', 'python3'],
];
const PACKAGES = ['base-files', ...BROWSERS, ...HOST];

/** Debian's browsers, resolvers and clients, unpacked below `cache` (once); nothing is installed. Gives the folder of the root. */
export const fetchDebianRoot = async (cache: string): Promise<string> =>
  withLock(join(cache, 'browsers.lock'), { what: "the tests' browsers" }, async () => {
    await using packages = await openPackages({ folder: join(cache, 'apt-browsers'), signal: neverAborts() });
    const resolved = await packages.resolve(PACKAGES);
    const root = join(cache, `browsers-${shortHash(resolved.map(({ hash }) => hash).join('\n'), 12)}`);
    if (!(await exists(root))) {
      await unpackAll(await packages.download(PACKAGES), root, packages, neverAborts());
      await packages.clean();
    }
    await Promise.all(['proc', 'dev', 'sys', 'tmp', 'etc', 'run'].map((name) => mkdir(join(root, name), { recursive: true })));
    await Promise.all(['passwd', 'group'].map((name) => copyFile(`/etc/${name}`, join(root, 'etc', name))));
    await writeFile(join(root, 'etc/hosts'), '127.0.0.1 localhost\n');
    await compileSchemas(root);
    await writeFile(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n');
    return root;
  });

/** What a trigger of dpkg does where packages are installed: settings have no schema without it. */
const compileSchemas = async (root: string): Promise<void> => {
  const schemas = '/usr/share/glib-2.0/schemas';
  if (!(await exists(join(root, schemas, 'gschemas.compiled')))) {
    const [file = '', ...args] = inRoot(root, ['/usr/lib/x86_64-linux-gnu/glib-2.0/glib-compile-schemas', schemas]);
    await mustRun(file, args);
  }
};
