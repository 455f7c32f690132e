import { HyprError } from '../../base/errors.ts';
import { ApiError } from '../../engine/docker/http/errors.ts';
import { checkName, withFreeName } from '../../engine/docker/machines/create.ts';
import { Host } from '../../engine/docker/machines/host.ts';
import type { Handler } from '../core/command-spec.ts';
import { noSuchMachine } from '../core/machines.ts';

/** `rename NAME NEW`: another name for a machine that stands alone and does not run. */
export const runRename: Handler = async ({ args: [reference = '', given = ''] }) => {
  const host = new Host();
  try {
    const [machine] = host.objects.replicas(reference);
    if (machine === undefined) {
      throw noSuchMachine(reference);
    }
    const { name, id } = machine.status;
    if (!machine.standalone) {
      throw new HyprError('HYPR_UNSUPPORTED', `renaming ${name} is not supported: a replica is named by its service`, {
        hint: 'write container_name: into the Compose file and use: hypr up',
      });
    }
    if (name === given) {
      throw new HyprError('HYPR_USAGE', 'renaming a container with the same name as its current name');
    }
    await withFreeName(host, checkName(given), () => host.objects.renameReplica(id, given));
    return 0;
  } catch (error) {
    throw error instanceof ApiError ? new HyprError('HYPR_USAGE', error.message, { cause: error }) : error;
  } finally {
    host.close();
  }
};
