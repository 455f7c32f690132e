import { runCached } from './cached.ts';

// `config` has a bundle of its own that needs no compiling; all else, and what turns out not to be `config`, is loaded as modules.
if (!(await runCached(process.argv.slice(2)))) {
  const { runProcess } = await import('./process.ts');
  await runProcess();
}
