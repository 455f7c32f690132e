import type { Stack } from '../../engine/model/types.ts';
import type { CliContext } from '../core/context.ts';
import { say } from '../core/output.ts';
import { formatSummary } from '../format/summary.ts';

/** After `up`: how every replica is, its links, and what to type next. Says nothing of a stack without replicas. */
export const saySummary = async (context: CliContext, stack: Stack): Promise<void> => {
  const urls = await (await context.engine()).listUrls(stack.name, context.interrupts.signal);
  const replicas = await stack.ps();
  const summary = formatSummary(replicas, stack.name, urls);
  if (summary === '') {
    return;
  }
  const bad = replicas.find(
    ({ state, health, exitCode, oneOff }) => !oneOff && (health === 'unhealthy' || (exitCode !== 0 && state !== 'running')),
  );
  const steps = [
    ...(replicas.every(({ state }) => state !== 'running') ? ['start: hypr up'] : []),
    'logs: hypr logs -f',
    ...(bad === undefined ? [] : [`why: hypr why ${bad.service}`]),
    ...(replicas.some(({ state, service }) => state === 'running' && urls.has(service)) ? ['open: hypr open'] : []),
    'stop: hypr down',
  ];
  say(context, `${summary}\n ${steps.join('   ')}`);
};
