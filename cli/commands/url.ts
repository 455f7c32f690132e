import { HyprError } from '../../base/errors.ts';
import type { BestUrl } from '../../engine/model/edge.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import { checkServices, withStack } from '../core/project.ts';

/** `url web` → `http://web.shop.localhost:7080/`: the best address that works now, which is tried before it is printed. */
export const runUrl: Handler = async (invocation) => {
  const { context, flags } = invocation;
  const format = flags.choice('format', ['text', 'json']) ?? 'text';
  const found = await findUrl(invocation);
  context.stdout.write(format === 'json' ? `${JSON.stringify(found)}\n` : `${found.url}\n`);
  return 0;
};

/** The address of the service that the command names, or of the first that has one; `--port` is another port of it. */
export const findUrl = async (invocation: Invocation): Promise<BestUrl> => {
  const { context, args, flags } = invocation;
  const [service] = args;
  const port = flags.int('port');
  if (port !== undefined && (port < 1 || port > 65_535)) {
    throw new HyprError('HYPR_USAGE', `${port} is not a port`);
  }
  return withStack(invocation, async (stack, project) => {
    if (service !== undefined && project !== undefined) {
      checkServices([service], { ...project.services, ...project.disabledServices });
    }
    const engine = await context.engine();
    const request = { stack: stack.name, ...(service === undefined ? {} : { service }), ...(port === undefined ? {} : { port }) };
    return engine.findUrl(request, context.interrupts.signal);
  });
};
