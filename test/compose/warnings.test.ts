import { describe, expect, test } from 'vitest';
import { load } from './project-folder.ts';

describe('warnings', () => {
  test('an unset variable, with its place, once', async () => {
    const { warnings } = await load('services:\n  a:\n    image: x$TAG\n    command: $TAG\n');
    expect(warnings.map(({ kind, message, where }) => [kind, message, where?.line, where?.column])).toEqual([
      ['unset-variable', 'The "TAG" variable is not set. Defaulting to a blank string.', 3, 12],
      ['unset-variable', 'The "TAG" variable is not set. Defaulting to a blank string.', 4, 14],
    ]);
  });

  test('none for a default', async () => {
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

  test('the obsolete version', async () => {
    const { warnings } = await load('version: "3.8"\nservices: {a: {image: x}}\n');
    expect(warnings).toMatchObject([{ kind: 'obsolete', where: { line: 1 } }]);
  });
});
