import { describe, expect, test } from 'vitest';
import { runConfig } from '../../compose/index.ts';
import { checkOwnKeys } from '../../compose/schema/own-keys.ts';
import { load, projectFolder } from './project-folder.ts';

describe('warnings', () => {
  test('an unset variable, with its place, once', async () => {
    const { warnings } = await load('services:\n  a:\n    image: x$TAG\n    command: $TAG\n');
    expect(warnings.map(({ kind, message, where }) => [kind, message, where?.line, where?.column])).toEqual([
      ['unset-variable', 'The "TAG" variable is not set. Defaulting to a blank string.', 3, 12],
      ['unset-variable', 'The "TAG" variable is not set. Defaulting to a blank string.', 4, 14],
    ]);
  });

  test('do not come when a variable has a default', async () => {
    expect((await load('services: {a: {image: "x${TAG:-1}"}}')).warnings).toEqual([]);
  });

  test('two host ports for one port of a service after a merge, with both places', async () => {
    const { warnings } = await load({
      'compose.yaml': "services:\n  a:\n    image: x\n    ports: ['80:80']\n",
      'compose.override.yaml': "services:\n  a:\n    ports: ['8080:80']\n",
    });
    expect(warnings).toMatchObject([
      {
        kind: 'duplicate-port',
        message: 'service "a" publishes its port 80/tcp twice: on 80 and on 8080',
        where: { line: 3, column: 13 },
        also: [{ line: 4, column: 13 }],
      },
    ]);
    expect(warnings[0]?.hint).toContain('!override');
  });

  test('no such warning inside of one file, or after !override', async () => {
    expect((await load("services: {a: {image: x, ports: ['80:80', '8080:80']}}")).warnings).toEqual([]);
    const { warnings, project } = await load({
      'compose.yaml': "services: {a: {image: x, ports: ['80:80']}}",
      'compose.override.yaml': "services: {a: {ports: !override ['8080:80']}}",
    });
    expect(warnings).toEqual([]);
    expect(project.services.a?.ports).toEqual([{ mode: 'ingress', target: 80, published: '8080', protocol: 'tcp' }]);
  });

  test('come for the obsolete version', async () => {
    const { warnings } = await load('version: "3.8"\nservices: {a: {image: x}}\n');
    expect(warnings).toMatchObject([{ kind: 'obsolete', where: { line: 1 } }]);
  });
});

describe('x-hypr keys', () => {
  test('that are wrong are an error of `config`, too', async () => {
    const cwd = await projectFolder({ 'compose.yaml': 'services:\n  a:\n    image: x\n    x-hypr:\n      egress: {allow: [10.0.0]}\n' });
    await expect(runConfig({ cwd, env: {}, quiet: true })).rejects.toMatchObject({ code: 'COMPOSE_INVALID', where: { line: 5 } });
  });

  const check = async (text: string) => checkOwnKeys((await load(text)).tree);

  test('of which there are none: a warning, with the place', async () => {
    const text = 'x-hypr: {proxy: {port: 8080}}\nx-other: 1\nservices:\n  a:\n    image: x\n    x-hypr-note: hi\n    x-hyprland: 1\n';
    expect(await check(text)).toMatchObject([
      { kind: 'ignored', message: 'x-hypr has no effect: hypr has no such setting in Compose files', where: { line: 1, column: 1 } },
      { kind: 'ignored', message: expect.stringContaining('x-hypr-note has no effect'), where: { line: 6, column: 5 } },
    ]);
  });

  test('of a mount are checked at their place: nobody takes a folder for synced that is not', async () => {
    const mount = (settings: string, type = 'bind') =>
      `services:\n  a:\n    image: x\n    volumes:\n      - ./b:/b\n      - type: ${type}\n        source: v\n        target: /app\n        ${settings}\nvolumes: {v: {}}\n`;
    for (const settings of ['x-hypr: {mount: synced}', 'x-hypr: {mount: shared}', 'x-other: 1']) {
      expect(await check(mount(settings))).toEqual([]);
    }
    await expect(check(mount('x-hypr: {egress: deny}'))).rejects.toMatchObject({ code: 'HYPR_UNSUPPORTED', where: { line: 9 } });
    for (const settings of [
      'x-hypr: synced',
      'x-hypr: {mount: sync}',
      'x-hypr: {mount: true}',
      'x-hypr: {mounts: synced}',
      'x-hypr: {mount: [synced]}',
    ]) {
      await expect(check(mount(settings)), settings).rejects.toMatchObject({ code: 'COMPOSE_INVALID', where: { line: 9 } });
    }
    await expect(check(mount('x-hypr: {mount: synced}', 'volume'))).rejects.toMatchObject({
      code: 'COMPOSE_INVALID',
      message: expect.stringContaining('is for bind mounts'),
      where: { line: 9 },
    });
    await expect(check('services:\n  a:\n    image: x\n    x-hypr: {mount: sync}\n')).rejects.toMatchObject({
      message: 'x-hypr.mount must be shared or synced',
      where: { line: 4 },
    });
  });

  test('about what a service may reach take effect, and are checked at their place', async () => {
    const service = (settings: string) => `services:\n  a:\n    image: x\n    x-hypr:\n      ${settings}\n`;
    expect(await check(service('egress: {allow: [example.com]}'))).toEqual([]);
    expect(await check(service('allow_outbound: false'))).toEqual([]);
    await expect(check(service('egres: deny'))).rejects.toMatchObject({
      code: 'COMPOSE_INVALID',
      hint: 'did you mean "egress"?',
      where: { line: 5 },
    });
    await expect(check('services:\n  a:\n    image: x\n    x-hypr: deny\n')).rejects.toMatchObject({
      code: 'COMPOSE_INVALID',
      where: { line: 4 },
    });
    expect(await check(service('{egress: deny, zzz: 1}'))).toMatchObject([
      { message: expect.stringContaining('x-hypr.zzz has no effect') },
    ]);
    await expect(check(service('egress: {allow: ["exa mple"]}'))).rejects.toMatchObject({
      code: 'COMPOSE_INVALID',
      message: expect.stringContaining('x-hypr.egress cannot have "exa mple"'),
      where: { line: 5 },
    });
  });

  test.each([
    ['networks: [default]', 'networks cannot be combined with x-hypr.network: isolated'],
    ['network_mode: none', 'network_mode cannot be combined'],
    ['links: [b]', 'links cannot be combined'],
    ['dns: 192.0.2.1', 'dns cannot be combined'],
    ['x-hypr: {network: bridge}', 'x-hypr.network must be isolated'],
    ['x-hypr: {network: isolated, allowed_domains: [a.com]}', 'x-hypr.allowed_domains has no effect here'],
    ['x-hypr: {network: isolated, allow_outbound: false, allowed_domains: [a.com]}', 'x-hypr.allowed_domains has no effect here'],
    ['x-hypr: {network: isolated, egress: {allow: [53/udp]}}', 'x-hypr.egress cannot have udp'],
  ])('an isolated service has no NIC: %s', async (line, message) => {
    const isolated = line.startsWith('x-hypr') ? '' : '    x-hypr: {network: isolated}\n';
    await expect(check(`services:\n  b: {image: x}\n  a:\n    image: x\n    ${line}\n${isolated}`)).rejects.toMatchObject({
      code: 'COMPOSE_INVALID',
      message: expect.stringContaining(message),
      where: { line: 5 },
    });
  });

  test.each([
    ['x-hypr:\n  allow_outbound: false\nservices: {a: {image: x}}\n', 'x-hypr.allow_outbound is not supported', 2],
    ['services:\n  a:\n    image: x\n    x-hypr:\n      proxy: {allowed_domains: [a.com]}\n', 'x-hypr.proxy.allowed_domains is not', 5],
    ['x-hypr:\n  networking: {mode: vsock}\nservices: {a: {image: x}}\n', 'network: isolated', 2],
    ['services: {a: {image: x}}\nx-hypr-network-policies: [{name: p}]\n', 'x-hypr-network-policies is not supported', 2],
    ['services: {a: {image: x}}\nnetworks:\n  default:\n    x-hypr:\n      - policies: []\n', 'x-hypr.policies is not supported', 5],
    ['x-hypr: {network: isolated}\nservices: {a: {image: x}}\n', 'x-hypr.network is not supported', 1],
  ])('that promise to keep something in or out are refused: %j', async (text, message, line) => {
    await expect(check(text)).rejects.toMatchObject({
      code: 'HYPR_UNSUPPORTED',
      message: expect.stringContaining(message),
      where: { file: expect.stringContaining('compose.yaml'), line },
    });
  });
});

describe('names of HYPR', () => {
  const services = (name: string) => `services: {${name}: {image: x}}\n`;

  test.each(['hypr-compose.yml', 'hypr-compose.yaml', 'Hyprfile', 'Hyprfile.yml', 'Hyprfile.yaml'])(
    '%s is found, and preferred',
    async (name) => {
      const { project, warnings } = await load({
        [name]: services('mine'),
        'compose.yaml': services('a'),
        'compose.override.yaml': services('b'),
      });
      expect([Object.keys(project.services), warnings]).toEqual([['mine'], []]);
    },
  );

  test('with an override of their own', async () => {
    const { project } = await load({ 'hypr-compose.yml': services('a'), 'hypr-compose.override.yml': services('b') });
    expect(Object.keys(project.services).sort()).toEqual(['a', 'b']);
  });
});
