import { HyprError } from '../../base/errors.ts';
import type { Project } from '../../compose/model/model.ts';
import { refuseUnsupported } from '../resolve/refuse.ts';
import { machineOwner } from '../resolve/shared-machine.ts';
import { donorsOf } from '../resolve/volumes-from.ts';
import type { StateReader } from '../state/store.ts';
import { checkNetworks } from './check-networks.ts';

/** Refuses what these services ask for and cannot have, before anything is pulled or made for them. */
export const checkServices = (
  project: Project,
  services: readonly string[],
  state: Pick<StateReader, 'sharedNetworks' | 'networks' | 'vms'>,
): void => {
  for (const name of services) {
    refuseUnsupported(name, project.services[name] ?? {});
  }
  refuseMissingOwners(project, services, state);
  refuseMissingDonors(project, services, state);
  checkNetworks(project, services, state);
};

/** With --no-deps, or in a profile that is off, the service whose machine is shared must be there already. */
const refuseMissingOwners = (project: Project, services: readonly string[], state: Pick<StateReader, 'vms'>): void => {
  for (const name of services) {
    const owner = machineOwner(project, name);
    if (owner !== undefined && !services.includes(owner) && !state.vms(project.name).some(({ service }) => service === owner)) {
      throw new HyprError('STACK_NOT_RUNNING', `cannot share network namespace with service ${owner}: container missing`, {
        path: ['services', name, 'network_mode'],
        hint: `start it as well: leave --no-deps out, or first: hypr up -d ${owner}`,
      });
    }
  }
};

/** With --no-deps the services whose volumes are shared must be there already. */
const refuseMissingDonors = (project: Project, services: readonly string[], state: Pick<StateReader, 'vms'>): void => {
  for (const donor of donorsOf(project, services)) {
    if (!services.includes(donor) && !state.vms(project.name).some(({ service }) => service === donor)) {
      throw new HyprError('COMPOSE_INVALID', `cannot share volume with service ${donor}: container missing`, {
        hint: `start it as well: leave --no-deps out, or first: hypr up -d ${donor}`,
      });
    }
  }
};
