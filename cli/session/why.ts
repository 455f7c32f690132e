import type { Project } from '../../compose/model/model.ts';
import type { LogRecord } from '../../engine/model/events.ts';
import { UP_DEFAULTS } from '../../engine/model/option-defaults.ts';
import type { Stack } from '../../engine/model/types.ts';
import { explainService } from '../format/why.ts';

const LAST_LINES = 12;

/** Asks the stack for what `hypr why` tells of a service, and puts it in words. */
export const askWhy = async (
  { stack, project, now }: { readonly stack: Stack; readonly project: Project | undefined; readonly now: number },
  service: string,
  signal: AbortSignal,
): Promise<string[]> => {
  const replicas = await stack.ps();
  const lines: LogRecord[] = [];
  const options = { services: [service], follow: false, tail: LAST_LINES, since: undefined, until: undefined, index: undefined };
  for await (const record of stack.logs(options, signal)) {
    lines.push(record);
  }
  const enabled = project?.services[service];
  const model = enabled ?? project?.disabledServices[service];
  const plan = project === undefined || enabled === undefined ? [] : await plannedFor(stack, project, service);
  return explainService({
    service,
    model,
    isDisabled: enabled === undefined && model !== undefined,
    replicas,
    plan,
    lines: lines.slice(-LAST_LINES),
    now,
  });
};

/** Lines of the plan about the service. A model that cannot be planned has an error of its own, which `up` tells. */
const plannedFor = async (stack: Stack, project: Project, service: string): Promise<string[]> => {
  try {
    const plan = await stack.plan(project, { ...UP_DEFAULTS, services: [service], noDeps: true });
    return plan
      .split('\n')
      .filter((line) => line.includes(`${project.name}-${service}-`) || line.includes(`Image ${service}`))
      .map((line) => line.trim());
  } catch {
    return [];
  }
};
