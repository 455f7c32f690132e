/**
 * What `hypr setup --system` does to a host, as data: the files and commands that it prints first. Pure; `inspect.ts` looks at the
 * host, `script.ts` makes the shell script that root runs.
 */

/** First line of every file of ours, by which undo finds them without a record of what was done. */
export const MARK = '# Written by hypr setup --system; hypr setup --undo removes it.';

/** Which resolver of the host can send one domain to another server. */
export type Resolver = 'systemd-resolved' | 'networkmanager-dnsmasq' | 'dnsmasq';

export interface SystemFacts {
  /** Which resolver answers on this host; undefined where names go to a name server elsewhere. */
  readonly resolver: Resolver | undefined;
  /** `net.ipv4.ip_unprivileged_port_start` as it is now. */
  readonly firstPort: number;
  /** Folder of the system's own authorities and the command that makes their bundle; undefined: not known here. */
  readonly store: CaStore | undefined;
  /** Which of the folders for our files exist. */
  readonly folders: ReadonlySet<string>;
  /** Files that exist, with their text. */
  readonly files: ReadonlyMap<string, string>;
}

export interface CaStore {
  readonly folder: string;
  readonly update: string;
  /** Makes the bundle without what was removed: `update` alone may leave links to it (Debian). */
  readonly renew: string;
}

export interface SystemWish {
  readonly domain: string;
  readonly dnsPort: number;
  readonly cert: string;
  /** `hypr development CA 3f9a2c (ada@laptop)`. */
  readonly name: string;
}

export interface PlannedFile {
  readonly path: string;
  readonly text: string;
  /** Folders to make, outermost first. */
  readonly folders: readonly string[];
  /** Commands once it is written, and once it is removed. */
  readonly after: readonly string[];
  readonly afterUndo: readonly string[];
  readonly purpose: string;
}

export interface SystemPlan {
  readonly files: readonly PlannedFile[];
  /** What stays as it is, and why. */
  readonly kept: readonly string[];
  /** What cannot be done; then nothing is done. */
  readonly refusals: readonly string[];
}

interface ResolverFile {
  readonly path: string;
  /** Once it is written. */
  readonly after: readonly string[];
  /** Before it is removed, and after. */
  readonly beforeUndo: readonly string[];
  readonly afterUndo: readonly string[];
}

const reloadedBy = (path: string, command: string): ResolverFile => ({ path, after: [command], beforeUndo: [], afterUndo: [command] });

/** Paths that tier 2 may write, by resolver. */
export const RESOLVER_FILES: Readonly<Record<Resolver, ResolverFile>> = {
  'systemd-resolved': {
    path: '/etc/systemd/system/hypr-names.service',
    after: ['systemctl daemon-reload', 'systemctl enable -q hypr-names.service', 'systemctl restart hypr-names.service'],
    beforeUndo: ['systemctl disable -q --now hypr-names.service'],
    afterUndo: ['systemctl daemon-reload'],
  },
  'networkmanager-dnsmasq': reloadedBy('/etc/NetworkManager/dnsmasq.d/hypr.conf', 'nmcli general reload dns-full'),
  dnsmasq: reloadedBy('/etc/dnsmasq.d/hypr.conf', 'systemctl restart dnsmasq'),
};

/** What earlier versions wrote; undo removes it. It made resolved ask hypr's port for every name, not only for its own domain. */
export const EARLIER_FILE = reloadedBy('/etc/systemd/resolved.conf.d/hypr.conf', 'systemctl restart systemd-resolved');

export const SYSCTL_FILE = '/etc/sysctl.d/60-hypr.conf';
export const CA_STORES: readonly CaStore[] = [
  { folder: '/usr/local/share/ca-certificates', update: 'update-ca-certificates', renew: 'update-ca-certificates --fresh' },
  { folder: '/etc/pki/ca-trust/source/anchors', update: 'update-ca-trust extract', renew: 'update-ca-trust extract' },
  { folder: '/etc/ca-certificates/trust-source/anchors', update: 'update-ca-trust', renew: 'update-ca-trust' },
  { folder: '/usr/share/pki/trust/anchors', update: 'update-ca-certificates', renew: 'update-ca-certificates --fresh' },
];
const FIRST_PORT = 80;

export const planSystem = (facts: SystemFacts, wish: SystemWish): SystemPlan => {
  const kept: string[] = [];
  const refusals: string[] = [];
  const wanted = [resolverFile(facts, wish, refusals), portFile(facts, kept), caFile(facts, wish, refusals)];
  const files = wanted.flatMap((file) => {
    const there = file === undefined ? undefined : facts.files.get(file.path);
    if (file === undefined) {
      return [];
    }
    if (there === file.text || (there !== undefined && withoutFolders(there) === withoutFolders(file.text))) {
      kept.push(`${file.path} is there already`);
      return [];
    }
    if (there !== undefined) {
      const whose = there.startsWith(MARK) ? 'is of another hypr, with other settings' : "is somebody else's";
      refusals.push(`${file.path} ${whose}: ${firstLine(there)}`);
    }
    return [file];
  });
  return { files, kept, refusals };
};

const resolverFile = (facts: SystemFacts, { domain, dnsPort }: SystemWish, refusals: string[]): PlannedFile | undefined => {
  if (facts.resolver === undefined) {
    refusals.push(
      'neither systemd-resolved nor dnsmasq answers names on this host, and a plain /etc/resolv.conf cannot send one domain elsewhere',
    );
    return undefined;
  }
  if (facts.files.get(EARLIER_FILE.path)?.startsWith(MARK)) {
    refusals.push(`${EARLIER_FILE.path} is of an earlier hypr: run hypr setup --undo first`);
  }
  const { path, after, afterUndo } = RESOLVER_FILES[facts.resolver];
  const lines = facts.resolver === 'systemd-resolved' ? resolvedUnit(domain, dnsPort) : [`server=/${domain}/127.0.0.1#${dnsPort}`];
  return makeFile(facts, { path, lines, after, afterUndo, purpose: `names of .${domain} for every program` });
};

/**
 * systemd-resolved sends names to a server by their domain only if the server is a network interface's: one that is set for the whole
 * host is asked for every name as well, and whoever listens on hypr's port while no stack runs would see them all. So there is an
 * interface that carries nothing. NetworkManager, where there is one, is told to leave it alone.
 */
const resolvedUnit = (domain: string, dnsPort: number): string[] => [
  '[Unit]',
  `Description=Names of .${domain} are asked of hypr`,
  // After NetworkManager, which would take the interface for its own.
  'After=systemd-resolved.service NetworkManager.service',
  'Wants=systemd-resolved.service',
  'PartOf=systemd-resolved.service',
  '[Service]',
  'Type=oneshot',
  'RemainAfterExit=yes',
  'Environment=PATH=/usr/sbin:/usr/bin:/sbin:/bin',
  `ExecStart=-/usr/bin/env ip link delete ${LINK}`,
  `ExecStart=/usr/bin/env ip link add ${LINK} type dummy`,
  // Without an address resolved does not use it. This one is for documentation (RFC 5737): no host has it.
  `ExecStart=/usr/bin/env ip address add 192.0.2.53/32 dev ${LINK}`,
  `ExecStart=-/usr/bin/env nmcli device set ${LINK} managed no`,
  `ExecStart=/usr/bin/env ip link set ${LINK} up`,
  `ExecStart=/usr/bin/env resolvectl dns ${LINK} 127.0.0.1:${dnsPort}`,
  `ExecStart=/usr/bin/env resolvectl domain ${LINK} ~${domain}`,
  ...['default-route', 'dnssec', 'llmnr', 'mdns'].map((setting) => `ExecStart=/usr/bin/env resolvectl ${setting} ${LINK} no`),
  // Also after a start that failed half-way.
  `ExecStopPost=-/usr/bin/env ip link delete ${LINK}`,
  '[Install]',
  'WantedBy=multi-user.target',
];

const LINK = 'hypr0';

const portFile = (facts: SystemFacts, kept: string[]): PlannedFile | undefined => {
  if (facts.firstPort <= FIRST_PORT && !facts.files.has(SYSCTL_FILE)) {
    kept.push(`every user may listen from port ${facts.firstPort} on already`);
    return undefined;
  }
  const setting = (port: number) => `sysctl -q -w net.ipv4.ip_unprivileged_port_start=${port}`;
  const before = previousPort(facts.files.get(SYSCTL_FILE)) ?? facts.firstPort;
  return makeFile(facts, {
    path: SYSCTL_FILE,
    lines: [`# Before: ${before}`, `net.ipv4.ip_unprivileged_port_start=${FIRST_PORT}`],
    after: [setting(FIRST_PORT)],
    afterUndo: [setting(before)],
    purpose: 'ports 80 and 443 without root (every user of this host may then listen on ports from 80 on)',
  });
};

/** The setting's earlier value, as the file says. */
export const previousPort = (text: string | undefined): number | undefined => {
  const [, port] = /^# Before: (\d{1,5})$/m.exec(text ?? '') ?? [];
  return port === undefined ? undefined : Number(port);
};

const caFile = ({ store }: SystemFacts, { cert, name }: SystemWish, refusals: string[]): PlannedFile | undefined => {
  if (store === undefined) {
    refusals.push(`none of the folders for authorities is known here (${CA_STORES.map(({ folder }) => folder).join(', ')})`);
    return undefined;
  }
  // Without a comment: some readers of such folders accept nothing but a certificate.
  const path = `${store.folder}/${caFileName(name)}`;
  const purpose = `${name}, trusted by curl, git and others that use the system's authorities; it can vouch for the domain only`;
  return { path, text: cert, folders: [], after: [store.update], afterUndo: [store.renew], purpose };
};

/** `hypr-3f9a2c.crt`. */
export const caFileName = (name: string): string => `hypr-${/ ([0-9a-f]{6}) /.exec(name)?.[1] ?? 'ca'}.crt`;

const makeFile = (facts: SystemFacts, input: Omit<PlannedFile, 'text' | 'folders'> & { lines: readonly string[] }): PlannedFile => {
  const { lines, ...rest } = input;
  const parent = input.path.replace(/\/[^/]*$/, '');
  const folders = facts.folders.has(parent) ? [] : [parent];
  const made = folders.length === 0 ? [] : [`${FOLDERS}${folders.join(' ')}`];
  return { ...rest, folders, text: `${[MARK, ...made, ...lines].join('\n')}\n` };
};

const FOLDERS = '# Folders made: ';

/** Folders that a file of ours says were made for it. */
export const madeFolders = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith(FOLDERS))
    .flatMap((line) => line.slice(FOLDERS.length).split(' '))
    .filter((folder) => /^\/etc\/[\w./-]+$/.test(folder) && !folder.includes('..'));

const withoutFolders = (text: string): string =>
  text
    .split('\n')
    .filter((line) => !line.startsWith(FOLDERS))
    .join('\n');

const firstLine = (text: string): string =>
  JSON.stringify(text.split('\n').find((line) => line.trim() !== '' && !line.startsWith(MARK)) ?? '');
