import { HyprError } from '../../base/errors.ts';
import type { ReplicaStatus } from '../../engine/model/events.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import { onMachine } from '../core/machines.ts';
import { checkServices, withStack } from '../core/project.ts';
import { formatPorts, hostPort } from '../format/ports.ts';

/** `port web 80` → `127.0.0.1:8080`. Of a machine by its name without a port: all that is published, as docker prints it. */
export const runPort: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const [service = '', text = ''] = args;
  const done = await onMachine(invocation, service, async (_, { status }) => printPorts(invocation, status, text));
  if (done !== undefined) {
    return done;
  }
  const [, number, suffix] = /^(\d{1,5})(?:\/(tcp|udp))?$/.exec(text) ?? [];
  if (number === undefined) {
    throw new HyprError('HYPR_USAGE', `"${text}" is not a port`, { hint: 'give the port inside the service, such as 80 or 53/udp' });
  }
  const protocol = flags.choice('protocol', ['tcp', 'udp']) ?? suffix ?? 'tcp';
  return withStack(invocation, async (stack, project) => {
    const replicas = await stack.ps();
    checkServices([service], { ...project?.services, ...Object.fromEntries(replicas.map((replica) => [replica.service, true])) });
    const replica = pickReplica(replicas, service, flags.int('index'));
    const port = replica.ports.find((candidate) => candidate.port === Number(number) && candidate.protocol === protocol);
    if (port === undefined) {
      const published = formatPorts({ ports: replica.ports, exposed: [] });
      throw new HyprError('HYPR_USAGE', `no port ${number}/${protocol} for ${replica.name}: ${published || 'nothing is published'}`, {
        hint: `publish it in the Compose file: ports: ["${number}"]`,
      });
    }
    context.stdout.write(`${hostPort(port)}\n`);
    return 0;
  });
};

const pickReplica = (replicas: readonly ReplicaStatus[], service: string, index: number | undefined): ReplicaStatus => {
  const mine = replicas.filter((replica) => replica.service === service && !replica.oneOff).sort((a, b) => a.number - b.number);
  const replica =
    index === undefined ? (mine.find((each) => each.ports.length > 0) ?? mine[0]) : mine.find((each) => each.number === index);
  if (replica === undefined) {
    throw new HyprError('STACK_NOT_RUNNING', `service ${service} has no replica${index === undefined ? '' : ` ${index}`}`, {
      hint: `start it with: hypr up -d ${service}`,
    });
  }
  return replica;
};

const printPorts = ({ context }: Invocation, { name, ports }: ReplicaStatus, text: string): number => {
  const [number, protocol = 'tcp'] = text.split('/');
  const found = ports.filter((each) => text === '' || (each.port === Number(number) && each.protocol === protocol));
  if (text !== '' && found.length === 0) {
    throw new HyprError('HYPR_USAGE', `No public port '${text}' published for ${name}`);
  }
  const lines = found.map((each) => `${text === '' ? `${each.port}/${each.protocol} -> ` : ''}${hostPort(each)}\n`);
  context.stdout.write(lines.join(''));
  return 0;
};
