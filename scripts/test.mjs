// `npm test`: all set-up, then lint, types and every test. `npm test -- unit` (or any vitest arguments) runs a part. `npm test -- kvm` is `npm run test:kvm`.
import { join } from 'node:path';
import { ensureBuilt } from './ensure-built.mjs';
import { lint } from './lint/main.mjs';
import { root, run } from './own-node.mjs';

const bin = (name) => join(root, 'node_modules', '.bin', name);
const args = process.argv.slice(2);

try {
  await ensureBuilt();
  if (args[0] === 'unit') {
    await run(bin('vitest'), ['run', '--project', 'unit', ...args.slice(1)]);
  } else if (args[0] === 'kvm') {
    // In a machine of hypr whose processor virtualises: emulated where this host has no KVM, and then slow.
    await run(bin('vitest'), ['run', '--project', 'vm', 'test/scenarios/kvm', ...args.slice(1)], {
      env: { ...process.env, HYPR_TEST_KVM: 'all' },
    });
  } else {
    await lint();
    await run(join(root, 'bin', 'hypr'), ['setup']);
    await run(process.execPath, [join(root, 'dist', 'fixtures.js'), 'make']);
    await run(bin('vitest'), ['run', ...args]);
  }
} catch (error) {
  console.error(error.exitCode === undefined ? error : error.message);
  process.exitCode = error.exitCode ?? 1;
}
