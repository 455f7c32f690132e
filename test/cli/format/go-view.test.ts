import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CONTAINER, IMAGE, NETWORK, VOLUME } from '../../../cli/format/docker-types.ts';
import { compileTemplate } from '../../../cli/format/go-template.ts';
import { goView } from '../../../cli/format/go-view.ts';
import { runs } from '../../support/seed.ts';

const render = (type: Parameters<typeof goView>[0], data: unknown, template: string) => compileTemplate(template)(goView(type, data));

test('is the same as JSON as what it shows', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom('Id', 'Config', 'State', 'Mounts', 'x'), fc.jsonValue()), (data) => {
      expect(JSON.stringify(goView({ struct: { Id: 'string', x: 'number' } }, data))).toBe(JSON.stringify(data));
    }),
    runs(200),
  );
  const whole = { Config: { Labels: null, Env: [] }, HostConfig: { Links: null }, NetworkSettings: { Ports: { '80/tcp': null } } };
  expect(JSON.stringify(goView(CONTAINER, whole))).toBe(JSON.stringify(whole));
});

test.each([
  [
    IMAGE,
    { Config: {} },
    '{{.Config.Healthcheck}} {{.Config.Volumes}} {{.Comment}}|{{.Config.OnBuild}} {{.RepoTags}}',
    '<nil> map[] |[] []',
  ],
  [VOLUME, { Options: null }, '{{.Options}} {{json .Options}} {{.Status}} {{.UsageData}}', 'map[] null map[] <nil>'],
  [NETWORK, {}, '{{.ConfigFrom.Network}}|{{.ConfigFrom}} {{.Containers}} {{.IPAM.Config}} {{.Peers}}', '|{} map[] [] []'],
  [
    NETWORK,
    { IPAM: { Config: [{ Subnet: '10.0.0.0/8' }] } },
    '{{range .IPAM.Config}}{{.Subnet}} {{.IPRange}}|{{.AuxAddress}}{{end}}',
    '10.0.0.0/8 |map[]',
  ],
] as const)('%# gives what is left out its zero value', (type, data, template, text) => {
  expect(render(type, data, template)).toBe(text);
});
