import { describe, expect, it } from 'vitest';
import { type FenceFacts, fenceLayers } from '../../../vmm/host/fence-check.ts';

const machine = { landlock: 7, way: 'landlock', files: true, calls: true, privileges: true } as const;
const gateway = { landlock: 7, seccomp: true };
const lacking = (facts: FenceFacts) => fenceLayers(facts).flatMap(({ process, layer, holds }) => (holds ? [] : [`${process} ${layer}`]));

const NONE = 'this host has no cgroup v2';

describe('the table of the fence', () => {
  it('has a row for each layer of each kind of process', () => {
    const rows = fenceLayers({ machine, gateway, namespacesOff: undefined, cgroup: NONE });
    expect(rows.map(({ process, layer, holds }) => `${process} ${layer} ${holds}`)).toEqual([
      'machine files true',
      'machine system calls true',
      'machine privileges true',
      'machine limits true',
      'machine cgroup false',
      'share files true',
      'share system calls true',
      'gateway cgroup false',
      'gateway files true',
      'gateway system calls true',
    ]);
  });

  it('says what a host without Landlock, without namespaces or without either lacks', () => {
    const bare = { ...machine, landlock: 0, way: 'none', files: false } as const;
    const off = '/proc/sys/user/max_user_namespaces';
    expect(lacking({ machine: bare, gateway: { landlock: 0, seccomp: true }, namespacesOff: undefined, cgroup: NONE })).toEqual([
      'machine files',
      'machine cgroup',
      'gateway cgroup',
      'gateway files',
    ]);
    expect(lacking({ machine, gateway, namespacesOff: off, cgroup: NONE })).toEqual(['machine cgroup', 'gateway cgroup']);
    expect(lacking({ machine: bare, gateway, namespacesOff: off, cgroup: NONE })).toContain('share files');
  });

  it('says where mounts of their own stand in for Landlock', () => {
    const view = { ...machine, landlock: 0, way: 'view' } as const;
    const rows = fenceLayers({ machine: view, gateway, namespacesOff: undefined, cgroup: NONE });
    expect(rows[0]).toMatchObject({ holds: true, detail: expect.stringMatching(/^no Landlock, but mounts of its own:/) });
  });

  it('gives the reason why machines cannot be fenced in at all', () => {
    const rows = fenceLayers({
      machine: 'this kernel filters no system calls',
      gateway: undefined,
      namespacesOff: undefined,
      cgroup: NONE,
    });
    expect(rows.find(({ layer }) => layer === 'system calls')).toMatchObject({
      holds: false,
      detail: 'this kernel filters no system calls',
    });
  });

  it('says where machines have cgroups, or why they have none', () => {
    const detail = (cgroup: Parameters<typeof fenceLayers>[0]['cgroup']) =>
      fenceLayers({ machine, gateway, namespacesOff: undefined, cgroup }).find(({ layer }) => layer === 'cgroup');
    expect(detail({ folder: '/sys/fs/cgroup/user', controllers: ['memory', 'pids'] })).toMatchObject({
      holds: true,
      detail: 'one with those of its shares, below /sys/fs/cgroup/user: memory, pids',
    });
    expect(detail({ bus: 'unix:path=/run/user/1/bus', controllers: ['memory'] })?.detail).toContain(
      "a scope of this user's systemd: memory",
    );
    expect(detail(NONE)).toMatchObject({ holds: false, detail: expect.stringMatching(/^none: this host has no cgroup v2;/) });
  });
});
