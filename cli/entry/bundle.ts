/** What dist/hypr.cjs exports: to cli/entry/start.ts, and for scripts/train.mjs what it makes the code cache with. */

export { runProcess } from './process.ts';
export const parts = () => import('./parts.ts');
