import { sanitiseText } from '../../base/sanitise.ts';
import type { EdgeInfo } from '../../engine/model/edge.ts';
import type { Handler } from '../core/command-spec.ts';

/** `proxy status`: what serves the names of this user's stacks, and what it could not have. 1 when nothing does. */
export const runProxyStatus: Handler = async ({ context, flags }) => {
  const format = flags.choice('format', ['text', 'json']) ?? 'text';
  const info = await (await context.engine()).edgeStatus(context.interrupts.signal);
  if (format === 'json') {
    context.stdout.write(`${JSON.stringify(info ?? null)}\n`);
  } else {
    context.stdout.write(info === undefined ? 'names are not served: no stack runs\n' : describe(info));
  }
  return info?.port === undefined ? 1 : 0;
};

/** `proxy serve`: takes part in serving names until Ctrl-C, also while no stack runs. */
export const runProxyServe: Handler = async ({ context }) => {
  const engine = await context.engine();
  await engine.serveNames((info) => context.stdout.write(describe(info)), context.interrupts.signal);
  return 0;
};

const describe = (info: EdgeInfo): string => {
  const { port, domain } = info;
  const lines = [
    ...(port === undefined
      ? ['names are not served over HTTP']
      : [`http://SERVICE.STACK.localhost:${port}/`, `index page: http://localhost:${port}/`]),
    ...(port === undefined ? [] : [`proxy for .${domain}: 127.0.0.1:${port}, http://localhost:${port}/proxy.pac`]),
    ...(info.systemPorts.length === 0 ? [] : [`ports of the system: ${info.systemPorts.join(', ')}`]),
    info.dnsPort === undefined ? `no DNS for .${domain}` : `DNS for .${domain}: 127.0.0.1:${info.dnsPort}`,
    info.tls ? 'https: yes' : 'https: no certificate authority yet; make one with: hypr setup --browser',
    ...info.problems.map((problem) => `problem: ${sanitiseText(problem)}`),
    `served by process ${info.pid}`,
  ];
  return `${lines.join('\n')}\n`;
};
