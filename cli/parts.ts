/** The CLI in parts, for a process that is not it: scripts/train.mjs. */

export { Interrupts } from './interrupts.ts';
export { runCli } from './run.ts';
export { Terminal } from './terminal.ts';
export { createContext } from './wiring.ts';
