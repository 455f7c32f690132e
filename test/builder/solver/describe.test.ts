import { describe, expect, it } from 'vitest';
import type { BuildRequest } from '../../../builder/model/types.ts';
import { describeTargets, outlineBuild } from '../../../builder/solver/describe-build.ts';
import { PLAIN_REQUEST } from './workshop.ts';

const FILE = `# VERSION of the base
ARG VERSION=1.0
ARG UNUSED=x
# base is what all start from
FROM busybox:\${VERSION} AS base
ARG NEVER=0
FROM base AS lint
# LEVEL how strict
ARG LEVEL=3
RUN --mount=type=secret,id=npm,required=true --mount=type=ssh --mount=type=cache,target=/c --mount=type=tmpfs,target=/t,size=$X x
# out  the result
FROM --platform=$BUILDPLATFORM scratch AS out
ARG VERSION
COPY --from=lint /a /a
FROM scratch
ARG ONLY_HERE=\${LEVEL:?}
`;

const request = (extra: Partial<BuildRequest> = {}): BuildRequest => ({
  ...PLAIN_REQUEST,
  dockerfile: { text: FILE, name: 'Dockerfile' },
  ...extra,
});
const look = { buildFolder: '/nonexistent', signal: new AbortController().signal };
const at = (line: number) => ({ ranges: [{ start: { line }, end: { line } }] });

describe('what a Dockerfile says of itself', () => {
  it('targets, with descriptions, bases and platforms; the last is the default', async () => {
    const { targets, sources } = await describeTargets(request(), look);
    expect(targets).toEqual([
      { name: 'base', description: 'is what all start from', base: 'busybox:${VERSION}', location: at(5) },
      { name: 'lint', base: 'base', location: at(7) },
      { name: 'out', description: 'the result', base: 'scratch', platform: '$BUILDPLATFORM', location: at(12) },
      { default: true, base: 'scratch', location: at(15) },
    ]);
    expect(Buffer.from(sources[0] ?? '', 'base64').toString()).toBe(FILE);
  });

  it('outline: arguments, secrets, ssh and caches of a target and of what it is made from', async () => {
    const outline = await outlineBuild(request({ target: 'out', buildArgs: { LEVEL: '5' } }), look);
    expect(outline).toMatchObject({
      name: 'out',
      description: 'the result',
      args: [
        { name: 'VERSION', value: '1.0', description: 'of the base' },
        { name: 'NEVER', value: '0' },
        { name: 'LEVEL', value: '5', description: 'how strict', location: at(9) },
      ],
      secrets: [{ name: 'npm', required: true, location: at(10) }],
      ssh: [{ name: 'default', location: at(10) }],
      cache: [{ ID: '/c' }],
    });
    expect(await outlineBuild(request(), look)).toEqual({ args: [{ name: 'ONLY_HERE', location: at(16) }], sources: [expect.any(String)] });
  });
});
