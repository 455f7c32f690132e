import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { findUserManager, scopeWords } from '../../../base/host/user-scope.ts';
import { onlyWhere } from '../../support/needs.ts';

const limits = { memoryBytes: 2 ** 30, cpus: 2, tasks: 512 };

test('a scope has its processes and its limits', () => {
  expect(scopeWords('hypr-x.scope', [11, 12], limits).join(' ')).toBe(
    'hypr-x.scope fail 5 PIDs au 2 11 12 CollectMode s inactive-or-failed MemoryMax t 1073741824 CPUQuotaPerSecUSec t 2000000 TasksMax t 512 0',
  );
  expect(scopeWords('hypr-x.scope', [11], { ...limits, memoryBytes: undefined })).not.toContain('MemoryMax');
});

describe("a user's systemd", () => {
  const place = () => {
    const dir = mkdtempSync(join(tmpdir(), 'hypr-scope-'));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    return { runtime: dir, linger: join(dir, 'linger'), mount: dir };
  };

  it('is not there without its bus, is not asked where it ends with the session, and may not answer', async () => {
    const here = place();
    expect(await findUserManager(here.mount, here)).toBe('this user has no systemd of their own');
    writeFileSync(join(here.runtime, 'bus'), '');
    expect(await findUserManager(here.mount, here)).toContain('loginctl enable-linger');
    writeFileSync(here.linger, '');
    expect(await findUserManager(here.mount, here)).toContain("this user's systemd does not answer: ");
  });
});

/** Shell that waits for `condition`, a minute at most, and ends with 7 then. */
const until = (condition: string) => `n=0; until ${condition}; do n=$((n+1)); [ $n -lt 600 ] || exit 7; sleep 0.1; done`;

/** A systemd of a user, with cgroup v2 of its own, in namespaces: what runs `script` sees it as a user would. */
const inNamespaces = (script: string) => {
  const dir = mkdtempSync(join(tmpdir(), 'hypr-systemd-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  mkdirSync(join(dir, 'run'));
  const shell = `
    mount -t tmpfs tmpfs /run && mkdir -p /run/user/0 /run/systemd/system || exit 9
    umount -R /sys/fs/cgroup 2>/dev/null; mount -t cgroup2 none /sys/fs/cgroup || exit 9
    export XDG_RUNTIME_DIR=/run/user/0 HOME=${dir}
    dbus-daemon --session --address=unix:path=/run/user/0/bus --nofork --nopidfile 2>/dev/null &
    export DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/0/bus
    ${until('[ -S /run/user/0/bus ]')}
    SYSTEMD_LOG_LEVEL=err /lib/systemd/systemd --user 2>/dev/null &
    ${until('[ -S /run/user/0/systemd/private ]')}
    ${until('systemctl --user show-environment >/dev/null 2>&1')}
    ${script}`;
  const child = spawn('unshare', ['-pfm', '--kill-child', '--mount-proc', '--cgroup', 'sh', '-c', shell], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  // Later than the folder above, which is therefore removed after the processes that use it.
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  });
  return child;
};

/** Why such a systemd cannot run here. */
const noSystemd = (): string | false => {
  for (const program of ['busctl', 'dbus-daemon', '/lib/systemd/systemd']) {
    if (spawnSync(program, ['--version']).status !== 0) {
      return `${program} is not there`;
    }
  }
  const { status } = spawnSync('unshare', [
    '-pfm',
    '--mount-proc',
    '--cgroup',
    'sh',
    '-c',
    'umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup',
  ]);
  return status === 0 ? false : 'cgroup v2 cannot be mounted in namespaces of the test (it takes root)';
};

onlyWhere(noSystemd()).it('a real systemd of a user puts processes and their children into a scope, which goes with them', async () => {
  const program = join(import.meta.dirname, 'confine-in-scope.ts');
  const child = inNamespaces(`
    true & ended=$!; wait $ended
    sh -c 'sleep 600 & wait' & outer=$!
    ${until('inner=$(cat /proc/$outer/task/$outer/children) && [ -n "$inner" ]')}
    ${process.execPath} ${program} unix:path=/run/user/0/bus $outer $ended || exit 8
    unit=$(systemctl --user list-units --plain --no-legend 'hypr-*.scope' | cut -d' ' -f1)
    for pid in $outer $inner; do ${until('grep -q "$unit" /proc/$pid/cgroup')}; done
    systemctl --user show -p MemoryMax -p CPUQuotaPerSecUSec -p TasksMax "$unit"
    kill $outer $inner
    ${until('! systemctl --user is-active -q "$unit"')}
    echo gone`);
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await new Promise((resolve) => child.once('close', resolve));
  expect(said.trim().split('\n').sort()).toEqual(['CPUQuotaPerSecUSec=3s', 'MemoryMax=1073741824', 'TasksMax=512', 'gone']);
});
