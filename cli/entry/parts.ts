/** The CLI in parts, for a process that is not it: scripts/train.mjs. */

export { Interrupts } from '../core/interrupts.ts';
export { Terminal } from '../core/terminal.ts';
export { runCli } from './run.ts';
export { createContext } from './wiring.ts';
export const loadDashboard = () => import('../dashboard/run-dashboard.tsx');
