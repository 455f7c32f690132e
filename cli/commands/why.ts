import type { Handler } from '../core/command-spec.ts';
import { foldFor } from '../core/output.ts';
import { checkServices, withStack } from '../core/project.ts';
import { wantsColour } from '../core/style.ts';
import { isReady } from '../format/why.ts';
import { askWhy } from '../session/why.ts';

/** `why`: of each service, or of those that do not run or are not ready, why that is so. Exits with 1 while one is not ready. */
export const runWhy: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  return withStack(
    invocation,
    async (stack, project) => {
      const replicas = (await stack.ps()).filter(({ oneOff }) => !oneOff);
      const known = {
        ...project?.services,
        ...project?.disabledServices,
        ...Object.fromEntries(replicas.map(({ service }) => [service, true])),
      };
      checkServices(args, known);
      const isWell = (service: string): boolean => {
        const mine = replicas.filter((replica) => replica.service === service);
        return mine.length > 0 && mine.every(isReady);
      };
      const all = [...new Set([...Object.keys(project?.services ?? {}), ...replicas.map(({ service }) => service)])].sort();
      const asked = args.length > 0 ? args : all.filter((service) => !isWell(service));
      if (asked.length === 0) {
        context.stdout.write(all.length === 0 ? 'the stack has no services\n' : `all services run and are ready: ${all.join(', ')}\n`);
        return 0;
      }
      const color = wantsColour(context.stdout, context.env, flags);
      for (const service of asked) {
        const [first = '', ...rest] = await askWhy({ stack, project, now: context.now() }, service, context.interrupts.signal);
        context.stdout.write(foldFor(context.stdout, `${[color ? `\u001b[1m${first}\u001b[22m` : first, ...rest].join('\n')}\n`));
      }
      return asked.every(isWell) ? 0 : 1;
    },
    args,
  );
};
