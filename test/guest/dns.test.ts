import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { mustRun } from '../../base/host/process.ts';
import { asUserZero } from '../support/user-namespace.ts';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const AGENT = at('../../guest/agent');
const SOURCES = ['dns/dns.c', 'dns/dns_client.c', 'dns/dns_message.c', 'dns/dns_query.c', 'dns/dns_table.c', 'lib/arena.c', 'lib/loop.c'];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hypr-dns-'));
  const flags = ['-std=gnu11', '-D_GNU_SOURCE', '-Wall', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
  const sources = [at('./dns_test.c'), ...SOURCES.map((name) => join(AGENT, name))];
  await mustRun('gcc', [...flags, '-I', AGENT, ...sources, '-o', join(folder, 'dns')]);
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

it('the resolver › answers for the stack, asks one upstream after the other, and outlives its clients', async () => {
  // Port 53 of a loopback of its own.
  const { file, args } = await asUserZero('unshare', ['--net', join(folder, 'dns')]);
  const { stdout } = await mustRun(file, args);
  expect(stdout.trim().split('\n')).toEqual([
    'udp, of the stack: id 1 code 0 answers 2',
    'udp, not of the stack: id 2 code 3 answers 0',
    'udp, of the second upstream: id 3 code 0 answers 1',
    'tcp, of the stack: id 4 code 0 answers 2',
    'tcp, of an upstream: id 5 code 0 answers 1',
    'abandoned: the question is given up',
    'tcp, of the stack: id 4 code 0 answers 2',
    'tcp, of an upstream: id 5 code 0 answers 1',
    'without upstreams: id 7 code 2 answers 0',
    'resolver: runs',
  ]);
});
