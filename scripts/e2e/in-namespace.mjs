// Runs in a new network namespace: brings loopback up, offers the registry outside at 127.0.0.1:5000,
// and runs a program.
import { execFileSync, spawn } from 'node:child_process';
import { connect, createServer } from 'node:net';

const [socket, program, ...args] = process.argv.slice(2);
const PORT = 5000;

const offerRegistry = () =>
  new Promise((resolve, reject) => {
    const server = createServer((inside) => {
      // A path is not part of a network namespace.
      const outside = connect(socket);
      inside.on('error', () => outside.destroy()).on('close', () => outside.destroy());
      outside.on('error', () => inside.destroy()).on('close', () => inside.destroy());
      inside.pipe(outside).pipe(inside);
    });
    server.once('error', reject).listen(PORT, '127.0.0.1', resolve);
  });

execFileSync('ip', ['link', 'set', 'lo', 'up']);
await offerRegistry();
const code = await new Promise((resolve, reject) => {
  const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  child.once('error', reject);
  child.once('exit', (status) => resolve(status ?? 1));
});
process.exit(code);
