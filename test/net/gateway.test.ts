import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const folder = fileURLToPath(new URL('../../net/gateway', import.meta.url));
const GO_ROOT = '/usr/local/go/bin';

// The gateway's own tests are in Go, beside it; without Go this fails, because nothing else has tested it then.
it.each([
  ['has nothing that vet finds', ['vet', './...']],
  ['passes its own tests', ['test', '-count=1', './...']],
])('the gateway › %s', { timeout: 300_000 }, (_what, args) => {
  const { status, stdout, stderr } = spawnSync(existsSync(`${GO_ROOT}/go`) ? `${GO_ROOT}/go` : 'go', args, {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, PATH: `${process.env.PATH}:${GO_ROOT}`, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly -buildvcs=false' },
  });
  expect(`${stdout}${stderr}`).not.toMatch(/FAIL|panic/);
  expect(status).toBe(0);
});
