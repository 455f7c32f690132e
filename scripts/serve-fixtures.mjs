// Starts the fixture images' registry as a child and waits until it listens.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './own-node.mjs';

/** Serves the named images (all when none). `close` ends the child. */
export const serveFixtures = (names = []) =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--enable-source-maps', join(root, 'dist', 'fixtures.js'), 'serve', ...names], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise((done) => child.once('exit', done));
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the registry of fixture images ended with ${code}`)));
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
      const url = /^registry +(http:\S+)\n/m.exec(text)?.[1];
      if (url !== undefined) {
        resolve({
          url,
          mirrors: `docker.io=${url}`,
          close: async () => {
            child.kill('SIGTERM');
            await ended;
          },
        });
      }
    });
  });
