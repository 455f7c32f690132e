/** What dist/hypr.cjs exports: to cli/start.ts, and for scripts/train.mjs what it makes the code cache with. */

export { openStack } from '../engine/index.ts';
export { Interrupts } from './interrupts.ts';
export { runProcess } from './process.ts';
export { runCli } from './run.ts';
export { Terminal } from './terminal.ts';
export { createContext } from './wiring.ts';
