import { describe, expect, it } from 'vitest';
import { type FenceFacts, fenceLayers } from '../../../vmm/host/fence-check.ts';

const machine = { landlock: 7, files: true, calls: true, privileges: true };
const gateway = { landlock: 7, seccomp: true };
const lacking = (facts: FenceFacts) => fenceLayers(facts).flatMap(({ process, layer, holds }) => (holds ? [] : [`${process} ${layer}`]));

describe('the table of the fence', () => {
  it('has a row for each layer of each kind of process', () => {
    const rows = fenceLayers({ machine, gateway, namespacesOff: undefined });
    expect(rows.map(({ process, layer, holds }) => `${process} ${layer} ${holds}`)).toEqual([
      'machine files true',
      'machine system calls true',
      'machine privileges true',
      'machine limits true',
      'machine cgroup false',
      'share files true',
      'share system calls true',
      'gateway files true',
      'gateway system calls true',
    ]);
  });

  it('says what a host without Landlock, without namespaces or without either lacks', () => {
    const bare = { ...machine, landlock: 0, files: false };
    const off = '/proc/sys/user/max_user_namespaces';
    expect(lacking({ machine: bare, gateway: { landlock: 0, seccomp: true }, namespacesOff: undefined })).toEqual([
      'machine files',
      'machine cgroup',
      'gateway files',
    ]);
    expect(lacking({ machine, gateway, namespacesOff: off })).toEqual(['machine cgroup']);
    expect(lacking({ machine: bare, gateway, namespacesOff: off })).toContain('share files');
  });

  it('gives the reason why machines cannot be fenced in at all', () => {
    const rows = fenceLayers({ machine: 'this kernel filters no system calls', gateway: undefined, namespacesOff: undefined });
    expect(rows.find(({ layer }) => layer === 'system calls')).toMatchObject({
      holds: false,
      detail: 'this kernel filters no system calls',
    });
  });
});
