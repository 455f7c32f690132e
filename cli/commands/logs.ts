import { HyprError } from '../../base/errors.ts';
import type { ReplicaStatus } from '../../engine/model/events.ts';
import type { LogsOptions, Stack } from '../../engine/model/types.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import { onMachine } from '../core/machines.ts';
import { writeOut } from '../core/output.ts';
import { checkServices, withStack } from '../core/project.ts';
import { wantsColour } from '../core/style.ts';
import { LogFormatter } from '../format/logs.ts';
import { parseMoment } from '../format/time.ts';

/** `logs`: all lines or the tail, and with `-f` also new ones; on stdout, in the order of writing. */
export const runLogs: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const options = logsOptions(invocation);
  const [name] = args;
  if (name !== undefined && args.length === 1) {
    const done = await onMachine(invocation, name, (stack, { status }) => printMachine(invocation, stack, status, options));
    if (done !== undefined) {
      return done;
    }
  }
  return withStack(invocation, async (stack, project) => {
    const replicas = await stack.ps();
    // Names of replicas are taken too, also of those that are gone.
    const logged = args.length === 0 ? [] : await stack.logNames();
    checkServices(
      args.filter((name) => !logged.includes(name)),
      { ...project?.services, ...project?.disabledServices, ...Object.fromEntries(replicas.map((replica) => [replica.service, true])) },
    );
    const formatter = new LogFormatter({
      color: wantsColour(context.stdout, context.env, flags) && !flags.bool('no-color'),
      prefix: !flags.bool('no-log-prefix'),
      timestamps: flags.bool('timestamps'),
      stack: stack.name,
    });
    for (const replica of replicas.filter((each) => args.length === 0 || args.includes(each.service) || args.includes(each.name))) {
      formatter.know(replica.name);
    }
    for await (const record of stack.logs(options, context.interrupts.signal)) {
      await writeOut(context.stdout, formatter.line(record));
    }
    return context.interrupts.signal.aborted ? 130 : 0;
  });
};

/** docker's `logs NAME`: what the program wrote, each stream on its own. */
const printMachine = async ({ context, flags }: Invocation, stack: Stack, status: ReplicaStatus, options: LogsOptions): Promise<number> => {
  const formatter = new LogFormatter({ color: false, prefix: false, timestamps: flags.bool('timestamps'), stack: stack.name });
  const { signal } = context.interrupts;
  const details = flags.bool('details') ? ' ' : '';
  for await (const record of stack.logs({ ...options, services: [status.service], index: status.number }, signal)) {
    if (record.replica === status.name) {
      await writeOut(record.stream === 'stderr' ? context.stderr : context.stdout, `${details}${formatter.line(record)}`);
    }
  }
  return signal.aborted ? 130 : 0;
};

const logsOptions = ({ context, args, flags }: Invocation): LogsOptions => {
  const moment = (flag: 'since' | 'until'): number | undefined => {
    const text = flags.string(flag);
    return text === undefined ? undefined : parseMoment(text, { flag, now: context.now() });
  };
  return {
    services: args,
    follow: flags.bool('follow'),
    tail: parseTail(flags.string('tail')),
    since: moment('since'),
    until: moment('until'),
    index: flags.int('index'),
  };
};

const parseTail = (text: string | undefined): number | undefined => {
  if (text === undefined || text === 'all' || text === '-1') {
    return undefined;
  }
  if (!/^\d{1,15}$/.test(text)) {
    throw new HyprError('HYPR_USAGE', `--tail wants a number of lines or "all", not "${text}"`);
  }
  return Number(text);
};
