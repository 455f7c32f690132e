import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { familiarReference, formatReference, parseReference } from '../../../builder/registry/config/reference.ts';
import { runs } from '../../support/seed.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;

describe('references', () => {
  test.each([
    ['nginx', 'docker.io/library/nginx:latest', 'nginx:latest'],
    ['nginx:1.26', 'docker.io/library/nginx:1.26', 'nginx:1.26'],
    ['library/nginx', 'docker.io/library/nginx:latest', 'nginx:latest'],
    ['bitnami/redis:7', 'docker.io/bitnami/redis:7', 'bitnami/redis:7'],
    ['index.docker.io/library/nginx', 'docker.io/library/nginx:latest', 'nginx:latest'],
    ['docker.io/nginx', 'docker.io/library/nginx:latest', 'nginx:latest'],
    ['ghcr.io/a/b:v1', 'ghcr.io/a/b:v1', 'ghcr.io/a/b:v1'],
    ['localhost/a', 'localhost/a:latest', 'localhost/a:latest'],
    ['localhost:5000/a:1', 'localhost:5000/a:1', 'localhost:5000/a:1'],
    ['[::1]:5000/a', '[::1]:5000/a:latest', '[::1]:5000/a:latest'],
    ['127.0.0.1:5000/x/y__z', '127.0.0.1:5000/x/y__z:latest', '127.0.0.1:5000/x/y__z:latest'],
    [`nginx@${DIGEST}`, `docker.io/library/nginx@${DIGEST}`, `nginx@${DIGEST}`],
    [`nginx:1@${DIGEST}`, `docker.io/library/nginx:1@${DIGEST}`, `nginx:1@${DIGEST}`],
  ])('%s', (text, full, familiar) => {
    expect(formatReference(parseReference(text))).toBe(full);
    expect(familiarReference(parseReference(text))).toBe(familiar);
  });

  test.each([
    '',
    ':1',
    'Nginx',
    'a//b',
    '/a',
    'a/',
    'a:',
    'a:-x',
    'a@sha256:12',
    `a:${'t'.repeat(129)}`,
    'a b',
    '-a',
    'a..b',
    'host:99999999/a',
    'ab'.repeat(32),
    `x/${'n'.repeat(255)}`,
  ])('%s is none', (text) => {
    expect(() => parseReference(text)).toThrow(expect.objectContaining({ code: 'IMAGE_REFERENCE' }));
  });

  test('uppercase is named as the fault', () => {
    expect(() => parseReference('Foo/Bar')).toThrow('repository name must be lowercase');
  });

  test('any text is refused, or reads back as itself', () => {
    const part = fc.constantFrom('a', 'b.c', 'x_y', 'localhost', ':', '/', '@', '5000', '..', 'Z', DIGEST, ' ', '\n', 'é');
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(part, { maxLength: 7 }).map((parts) => parts.join('')),
        ),
        (text) => {
          try {
            const full = formatReference(parseReference(text));
            expect(formatReference(parseReference(full))).toBe(full);
            expect(formatReference(parseReference(familiarReference(parseReference(full))))).toBe(full);
            expect(full).toMatch(/^[\w.:[\]/@-]+$/);
          } catch (error) {
            expect(error).toBeInstanceOf(HyprError);
          }
        },
      ),
      runs(3000),
    );
  });
});
