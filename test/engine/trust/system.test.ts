import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { CA_STORES, MARK, planSystem, type SystemFacts } from '../../../engine/trust/system/plan.ts';
import { setupScript, undoScript } from '../../../engine/trust/system/script.ts';
import { asNamespaceRoot, noNamespace } from '../../support/mount-namespace.ts';
import { needs } from '../../support/needs.ts';

const CERT = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
const wish = { domain: 'hypr', dnsPort: 41_003, cert: CERT, name: 'hypr development CA 0a1b2c (ada@host)' };
const [debian] = CA_STORES;
const facts = (more: Partial<SystemFacts> = {}): SystemFacts => ({
  resolver: 'systemd-resolved',
  firstPort: 1024,
  store: debian,
  folders: new Set(['/etc/sysctl.d']),
  files: new Map(),
  ...more,
});

/** The host after the plan was carried out. */
const carriedOut = (before: SystemFacts): SystemFacts => {
  const { files } = planSystem(before, wish);
  return { ...before, firstPort: 80, files: new Map(files.map(({ path, text }) => [path, text])) };
};

describe('planSystem', () => {
  it('says every file and command, as the script that root runs', () => {
    expect(setupScript(planSystem(facts(), wish))).toBe(`set -eu
umask 022
PATH=/usr/sbin:/usr/bin:/sbin:/bin

# names of .hypr for every program
mkdir -p /etc/systemd/system
set -C; cat > /etc/systemd/system/hypr-names.service <<'HYPR'; set +C
# Written by hypr setup --system; hypr setup --undo removes it.
# Folders made: /etc/systemd/system
[Unit]
Description=Names of .hypr are asked of hypr
After=systemd-resolved.service NetworkManager.service
Wants=systemd-resolved.service
PartOf=systemd-resolved.service
[Service]
Type=oneshot
RemainAfterExit=yes
Environment=PATH=/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=-/usr/bin/env ip link delete hypr0
ExecStart=/usr/bin/env ip link add hypr0 type dummy
ExecStart=/usr/bin/env ip address add 192.0.2.53/32 dev hypr0
ExecStart=-/usr/bin/env nmcli device set hypr0 managed no
ExecStart=/usr/bin/env ip link set hypr0 up
ExecStart=/usr/bin/env resolvectl dns hypr0 127.0.0.1:41003
ExecStart=/usr/bin/env resolvectl domain hypr0 ~hypr
ExecStart=/usr/bin/env resolvectl default-route hypr0 no
ExecStart=/usr/bin/env resolvectl dnssec hypr0 no
ExecStart=/usr/bin/env resolvectl llmnr hypr0 no
ExecStart=/usr/bin/env resolvectl mdns hypr0 no
ExecStopPost=-/usr/bin/env ip link delete hypr0
[Install]
WantedBy=multi-user.target
HYPR

# ports 80 and 443 without root (every user of this host may then listen on ports from 80 on)
set -C; cat > /etc/sysctl.d/60-hypr.conf <<'HYPR'; set +C
# Written by hypr setup --system; hypr setup --undo removes it.
# Before: 1024
net.ipv4.ip_unprivileged_port_start=80
HYPR

# hypr development CA 0a1b2c (ada@host), trusted by curl, git and others that use the system's authorities; it can vouch for the domain only
set -C; cat > /usr/local/share/ca-certificates/hypr-0a1b2c.crt <<'HYPR'; set +C
${CERT}HYPR

failed=0
systemctl daemon-reload || { echo "hypr: systemctl daemon-reload: failed" >&2; failed=1; }
systemctl enable -q hypr-names.service || { echo "hypr: systemctl enable -q hypr-names.service: failed" >&2; failed=1; }
systemctl restart hypr-names.service || { echo "hypr: systemctl restart hypr-names.service: failed" >&2; failed=1; }
sysctl -q -w net.ipv4.ip_unprivileged_port_start=80 || { echo "hypr: sysctl -q -w net.ipv4.ip_unprivileged_port_start=80: failed" >&2; failed=1; }
update-ca-certificates || { echo "hypr: update-ca-certificates: failed" >&2; failed=1; }
exit $failed
`);
  });

  it.each([
    ['networkmanager-dnsmasq', '/etc/NetworkManager/dnsmasq.d/hypr.conf'],
    ['dnsmasq', '/etc/dnsmasq.d/hypr.conf'],
  ] as const)('sends the domain to hypr by %s', (resolver, path) => {
    const file = planSystem(facts({ resolver }), wish).files.find((one) => one.path === path);
    expect(file?.text).toContain('\nserver=/hypr/127.0.0.1#41003\n');
  });

  it('refuses a host without a resolver of its own and one whose store of authorities is not known', () => {
    expect(planSystem(facts({ resolver: undefined, store: undefined }), wish).refusals).toEqual([
      expect.stringContaining('/etc/resolv.conf'),
      expect.stringContaining('/usr/local/share/ca-certificates'),
    ]);
  });

  it('refuses files of others and of a hypr with other settings, and says what is in them', () => {
    const path = '/etc/systemd/system/hypr-names.service';
    const foreign = planSystem(facts({ files: new Map([[path, '# mine\nDNS=10.0.0.1\n']]) }), wish);
    expect(foreign.refusals).toEqual([`${path} is somebody else's: "# mine"`]);
    const ours = carriedOut(facts()).files;
    expect(planSystem(facts({ files: ours }), { ...wish, dnsPort: 5353 }).refusals).toEqual([
      `${path} is of another hypr, with other settings: "# Folders made: /etc/systemd/system"`,
    ]);
  });

  it('has nothing to do the second time, also when the folder is there by then', () => {
    const done = carriedOut(facts());
    const plan = planSystem({ ...done, folders: new Set(['/etc/sysctl.d', '/etc/systemd/system']) }, wish);
    expect(setupScript(plan)).toBe('');
    expect(plan.refusals).toEqual([]);
    expect(plan.kept).toHaveLength(3);
  });

  it('keeps what it does for in one line', () => {
    const [file] = planSystem(facts(), wish).files;
    const script = setupScript({
      files: file === undefined ? [] : [{ ...file, purpose: 'names of .a\ntouch /b\r' }],
      kept: [],
      refusals: [],
    });
    expect(script).toContain('\n# names of .a touch /b \n');
    expect(script).not.toContain('\ntouch');
  });

  it('leaves ports alone that users have already', () => {
    const plan = planSystem(facts({ firstPort: 0 }), wish);
    expect(plan.files.map(({ path }) => path)).not.toContain('/etc/sysctl.d/60-hypr.conf');
  });
});

describe('undoScript', () => {
  it('removes what has our mark and our certificate, and puts the setting back', () => {
    const script = undoScript(carriedOut(facts()), (text) => text === CERT);
    expect(script.split('\n').slice(3)).toEqual([
      'systemctl disable -q --now hypr-names.service || echo "hypr: systemctl disable -q --now hypr-names.service: failed" >&2',
      'rm -f /etc/systemd/system/hypr-names.service',
      'rm -f /etc/sysctl.d/60-hypr.conf',
      'rm -f /usr/local/share/ca-certificates/hypr-0a1b2c.crt',
      'rmdir --ignore-fail-on-non-empty /etc/systemd/system',
      'sysctl -q -w net.ipv4.ip_unprivileged_port_start=1024',
      'update-ca-certificates --fresh',
      'systemctl daemon-reload || echo "hypr: systemctl daemon-reload: failed" >&2',
      '',
    ]);
  });

  it('removes what an earlier hypr wrote, with which resolved asks our port for every name; setup wants that gone first', () => {
    const path = '/etc/systemd/resolved.conf.d/hypr.conf';
    const earlier = facts({ files: new Map([[path, `${MARK}\n[Resolve]\nDNS=127.0.0.1:41003\nDomains=~hypr\n`]]) });
    expect(planSystem(earlier, wish).refusals).toEqual([`${path} is of an earlier hypr: run hypr setup --undo first`]);
    expect(
      undoScript(earlier, () => false)
        .split('\n')
        .slice(3),
    ).toEqual([`rm -f ${path}`, 'systemctl restart systemd-resolved || echo "hypr: systemctl restart systemd-resolved: failed" >&2', '']);
  });

  it('touches no file without our mark, and no authority of another user', () => {
    const files = new Map([
      ['/etc/dnsmasq.d/hypr.conf', 'server=/hypr/10.0.0.1\n'],
      ['/usr/local/share/ca-certificates/hypr-999999.crt', CERT],
    ]);
    expect(undoScript(facts({ files }), () => false)).toBe('');
  });
});

/** Both scripts as root of a namespace whose /etc and /usr/local are empty; commands that act on the host are stand-ins that say so. */
const inNamespace = (scripts: string): { status: number | null; stdout: string; stderr: string } => {
  const [file = '', ...args] = asNamespaceRoot;
  const prepare = 'mount -t tmpfs none /etc && mount -t tmpfs none /usr/local && mkdir -p /etc/sysctl.d /usr/local/share/ca-certificates';
  const stub =
    'for c in systemctl sysctl update-ca-certificates; do eval "$c() { echo ran $c \\"\\$@\\"; }"; done; echo kept > /etc/sysctl.d/other.conf';
  return spawnSync(file, [...args, 'bash', '-c', `${prepare}; ${stub}; ${scripts}`], { encoding: 'utf8' });
};
const LISTING = '(cd / && find etc usr/local -type f -exec sha256sum {} + | sort; find etc usr/local | sort)';

describe('the scripts', () => {
  const { it: itIn } = needs(noNamespace());
  const [setup, undo] = [setupScript(planSystem(facts(), wish)), undoScript(carriedOut(facts()), (text) => text === CERT)];

  itIn('leave the system as it was once both have run, byte for byte', () => {
    const { status, stdout, stderr } = inNamespace(
      `${LISTING}; echo ==; ( ${setup} ); echo ==; ${LISTING}; echo ==; ( ${undo} ); echo ==; ${LISTING}`,
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const [before, ran, between, undone, afterwards] = stdout.split('==\n');
    expect(ran).toBe(
      'ran systemctl daemon-reload\nran systemctl enable -q hypr-names.service\nran systemctl restart hypr-names.service\nran sysctl -q -w net.ipv4.ip_unprivileged_port_start=80\nran update-ca-certificates\n',
    );
    expect(between).toContain('etc/systemd/system/hypr-names.service');
    expect(undone).toContain('ran sysctl -q -w net.ipv4.ip_unprivileged_port_start=1024');
    // The folder /etc/systemd was not there in this empty /etc either; a real one has it.
    expect(afterwards?.replace('etc/systemd\n', '')).toBe(before);
  });

  itIn('do not write over a file that came meanwhile', () => {
    const { status, stdout } = inNamespace(
      `mkdir -p /etc/systemd/system; echo mine > /etc/systemd/system/hypr-names.service; ( ${setup} ) 2>/dev/null; code=$?; cat /etc/systemd/system/hypr-names.service; ls /etc/sysctl.d; exit $code`,
    );
    expect(stdout).toBe('mine\nother.conf\n');
    expect(status).not.toBe(0);
  });
});
