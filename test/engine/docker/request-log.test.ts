import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { duplexPair } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test, vi } from 'vitest';

const dir = mkdtempSync(join(tmpdir(), 'hypr-request-log-'));

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true, force: true });
});

test('the log has the routes of requests, not what was asked with them', async () => {
  // Levels are read as the modules are loaded.
  vi.stubEnv('HYPR_LOG', 'debug');
  vi.resetModules();
  const { logTo } = await import('../../../base/log.ts');
  const { makeRouter } = await import('../../../engine/docker/http/router.ts');
  const { serveConnections } = await import('../../../engine/docker/http/serve-connections.ts');
  const file = join(dir, 'log');
  logTo(file);
  const find = makeRouter({ 'GET /machines/{id}/exec': ({ reply }) => reply.json({}) });
  const served = serveConnections(find, () => {});
  try {
    for (const path of ['/machines/web/exec', '/nothing']) {
      const [near, far] = duplexPair();
      served.server.emit('connection', far);
      near.write(`GET ${path}?env=KEY%3Dtopsecret&command=id HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      await text(near);
    }
    await expect.poll(() => readFileSync(file, 'utf8')).toMatch(/GET \/machines\/\{id\}\/exec[\s\S]*GET of no route/);
    expect(readFileSync(file, 'utf8')).not.toContain('topsecret');
  } finally {
    await served.close();
  }
});
