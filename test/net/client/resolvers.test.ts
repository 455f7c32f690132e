import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { Resolvers } from '../../../net/client/config.ts';
import { parseResolvConf, readResolvers, watchResolvers } from '../../../net/client/resolvers.ts';
import { makeFolder } from './helpers.ts';

const folder = makeFolder();
afterAll(() => folder.remove());

it('reads the name servers and leaves out what is none', () => {
  const text =
    '# nameserver 9.9.9.9\nnameserver 10.0.0.2\n\tnameserver  fd00::1 # x\nnameserver fe80::1%eth0\nnameserver x\noptions ndots:1';
  expect(parseResolvConf(text)).toEqual(['10.0.0.2:53', '[fd00::1]:53']);
});

it('takes the fallback of the settings, which may be none', async () => {
  const path = join(folder.path, 'missing');
  expect(await readResolvers(path, {})).toEqual({ resolvers: [], fallback: ['8.8.8.8:53'] });
  expect(await readResolvers(path, { HYPR_DNS_FALLBACK: '1.1.1.1, ::1' })).toMatchObject({ fallback: ['1.1.1.1:53', '[::1]:53'] });
  expect(await readResolvers(path, { HYPR_DNS_FALLBACK: '' })).toMatchObject({ fallback: [] });
});

it.each(['a file', 'a link'])('tells of changes by rename (%s)', async (kind) => {
  const [outer, real] = [join(folder.path, `o-${kind[2]}`), join(folder.path, `r-${kind[2]}`)];
  mkdirSync(outer);
  mkdirSync(real);
  const path = join(outer, 'resolv.conf');
  const target = kind === 'a link' ? join(real, 'stub.conf') : path;
  writeFileSync(target, 'nameserver 10.0.0.1\n');
  if (kind === 'a link') {
    symlinkSync(target, path);
  }
  const seen: Resolvers[] = [];
  const watcher = watchResolvers((resolvers) => seen.push(resolvers), path);
  await new Promise((resolve) => setTimeout(resolve, 50));
  writeFileSync(`${target}.new`, 'nameserver 10.0.0.9\n');
  renameSync(`${target}.new`, target);
  await expect.poll(() => seen.at(-1)?.resolvers).toEqual(['10.0.0.9:53']);
  watcher.close();
});
