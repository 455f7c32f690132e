import { sanitiseText } from '../../base/sanitise.ts';
import type { EdgeInfo } from '../../engine/model/edge.ts';
import type { NameReport } from '../../engine/model/types.ts';
import type { Handler } from '../core/command-spec.ts';
import { COMPOSE_TABLE, formatTable } from '../format/table.ts';

/** `dns status`: where DNS for the names of services answers, who asks there, and which names there are. 1 when it does not answer. */
export const runDnsStatus: Handler = async ({ context, flags }) => {
  const format = flags.choice('format', ['text', 'json']) ?? 'text';
  const { signal } = context.interrupts;
  const engine = await context.engine();
  const [info, report] = await Promise.all([engine.edgeStatus(signal), engine.listNames(signal)]);
  const dnsPort = info?.dnsPort;
  if (format === 'json') {
    const { domain, reachesPrograms, names, problems } = report;
    context.stdout.write(`${JSON.stringify({ domain, port: dnsPort ?? null, reachesPrograms, names, problems })}\n`);
  } else {
    context.stdout.write(describe(info, report));
  }
  return dnsPort === undefined ? 1 : 0;
};

/** `dns serve`: DNS alone, in the foreground, until Ctrl-C. */
export const runDnsServe: Handler = async ({ context }) => {
  const engine = await context.engine();
  const onListening = (port: number): void => {
    context.stdout.write(`DNS: 127.0.0.1:${port}, UDP and TCP\n`);
  };
  await engine.serveDns(onListening, context.interrupts.signal);
  return 0;
};

const describe = (info: EdgeInfo | undefined, { domain, reachesPrograms, names, problems }: NameReport): string => {
  const where =
    info?.dnsPort === undefined
      ? [`DNS for .${domain}: not served, ${info === undefined ? 'because no stack runs' : 'see the problems'}`]
      : [`DNS for .${domain}: 127.0.0.1:${info.dnsPort}, UDP and TCP; try: dig @127.0.0.1 -p ${info.dnsPort} probe.${domain}`];
  const who = reachesPrograms
    ? 'programs of this host find the names: the system asks here'
    : 'programs of this host do not find the names; once: hypr setup --system';
  const rows = names.map(({ host, address, isBound, state, health, ports }) => [
    host.endsWith('.') ? host.slice(0, -1) : `${host}.${domain}`,
    isBound ? address : '127.0.0.1',
    health === undefined ? state : `${state} (${health})`,
    ports.map(({ port }) => port).join(', '),
  ]);
  const table = rows.length === 0 ? '' : formatTable([['NAME', 'ADDRESS', 'STATE', 'LISTENS ON'], ...rows], COMPOSE_TABLE);
  const troubles = [...(info?.problems ?? []), ...problems].map((problem) => `problem: ${sanitiseText(problem)}`);
  return `${[...where, who, ...troubles].join('\n')}\n${table}`;
};
