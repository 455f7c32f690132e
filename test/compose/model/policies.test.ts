import { expect, test } from 'vitest';
import { matchesService, readPolicies } from '../../../compose/model/policies.ts';
import { checkOwnKeys } from '../../../compose/schema/own-keys.ts';
import { load } from '../project-folder.ts';

test('policies are read in their order, one glob and port for a list of them', () => {
  expect(
    readPolicies(
      [
        { name: 'db', from: ['web', 'api-*'], to: 'db', protocol: 'tcp', ports: 5432, action: 'allow' },
        { from: '*', to: '*', action: 'deny' },
      ],
      ['web', 'api-1', 'db'],
    ),
  ).toEqual([
    { name: 'db', from: ['web', 'api-*'], to: ['db'], protocol: 'tcp', ports: ['5432'], action: 'allow' },
    { from: ['*'], to: ['*'], action: 'deny' },
  ]);
});

test.each([
  ['web', 'web', true],
  ['web', 'web2', false],
  ['web*', 'web2', true],
  ['*', 'anything', true],
  ['w?b', 'web', true],
  ['w?b', 'weeb', false],
  ['a.c', 'abc', false],
  ['[a]', 'a', false],
])('%s matches %s: %s', (glob, service, verdict) => expect(matchesService([glob], service)).toBe(verdict));

const file = (policy: string) => `services:\n  web: {image: x}\n  db: {image: x}\nx-hypr:\n  policies:\n    - from: web\n      ${policy}\n`;
const check = async (text: string) => checkOwnKeys((await load(text)).tree);

test('policies take effect, and what else is at the top does not', async () => {
  expect(await check(file('to: db\n      action: deny'))).toEqual([]);
  expect(await check(`${file('to: db\n      action: deny')}  note: hi\n`)).toMatchObject([
    { message: expect.stringContaining('x-hypr.note has no effect') },
  ]);
});

test.each([
  ['to: db', 'x-hypr.policies[0].action must be allow or deny', 6],
  ['to: bd\n      action: deny', 'x-hypr.policies[0].to names no service by "bd"', 7],
  ['to: db\n      action: deny\n      port: 80', 'x-hypr.policies[0].port is not known', 9],
  ['to: db\n      action: deny\n      ports: [80, 90-80]', 'x-hypr.policies[0].ports must be ports', 9],
  ['to: db\n      action: deny\n      ports: 80\n      protocol: icmp', 'x-hypr.policies[0].ports cannot be given with icmp', 9],
  ['to: db\n      action: block', 'x-hypr.policies[0].action must be allow or deny', 8],
])('a policy that cannot be meant is an error at its place: %j', async (policy, message, line) => {
  await expect(check(file(policy))).rejects.toMatchObject({
    code: 'COMPOSE_INVALID',
    message: expect.stringContaining(message),
    where: { line },
  });
});

test.each([
  ['services: {web: {image: x}}\nx-hypr: {policies: deny}\n', 'x-hypr.policies must be a list', 2],
  ['services: {web: {image: x}}\nx-hypr: {polices: []}\n', 'x-hypr.polices is not a setting', 2],
])('%j is an error', async (text, message, line) => {
  await expect(check(text)).rejects.toMatchObject({ code: 'COMPOSE_INVALID', message: expect.stringContaining(message), where: { line } });
});
