import type { Platform } from '../model/platform.ts';
import type { ReplicaSpec } from '../model/spec.ts';
import type { DesiredStack } from '../plan/desired.ts';
import type { Plan } from '../plan/plan.ts';
import type { Replica } from '../replica/replica.ts';
import { defaultHostAddress } from '../resources/publish.ts';

/**
 * Checks all fixed host ports of the replicas that a plan boots before anything boots, so that `up` takes all of them or
 * changes nothing. Ports that this plan frees first do not count as taken.
 */
export const checkPlannedPorts = async (input: {
  plan: Plan;
  desired: DesiredStack;
  replicas: ReadonlyMap<string, Replica>;
  platform: Platform;
}): Promise<void> => {
  const held = new Set(
    [...input.replicas.values()].flatMap(({ row, run }) =>
      run === undefined ? [] : row.published.map((port) => `${port.protocol}/${port.hostPort}`),
    ),
  );
  const wanted = specsOf(input.desired, input.plan).flatMap((spec) =>
    spec.ports
      .filter(({ hostPorts: [first, last], protocol }) => first !== 0 && first === last && !held.has(`${protocol}/${first}`))
      .map((port) => ({ ...port, path: ['services', spec.service, 'ports'] })),
  );
  await input.platform.checkPorts(
    wanted.map(({ protocol, hostAddress, hostPorts, path }) => ({
      protocol,
      path,
      hostAddress: hostAddress === '' ? defaultHostAddress() : hostAddress,
      hostPort: hostPorts[0],
    })),
  );
};

const specsOf = (desired: DesiredStack, plan: Plan): ReplicaSpec[] =>
  plan.nodes.flatMap(({ operation }) => (operation.type === 'boot' ? [desired.specOf(operation.service, operation.number)] : []));
