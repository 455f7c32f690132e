import type { NetworkPolicy } from '../../net/types.ts';
import type { ReplicaSpec } from '../model/spec.ts';

/** A replica's rules as the gateway takes them; undefined: it may connect to everywhere. */
export const egressPolicy = ({ egress }: Pick<ReplicaSpec, 'egress'>): NetworkPolicy | undefined =>
  egress === undefined
    ? undefined
    : {
        default: 'deny',
        rules: egress.allow.map(({ to, ports, protocol }) => ({
          action: 'allow',
          ...(to === undefined ? {} : { to: [to] }),
          ...(ports === undefined ? {} : { ports: [ports] }),
          ...(protocol === undefined ? {} : { protocol }),
        })),
      };
