import type { Project } from '../../compose/model/model.ts';
import { refuseUnsupported } from '../resolve/refuse.ts';
import type { StateReader } from '../state/store.ts';
import { checkNetworks } from './check-networks.ts';

/** Refuses what these services ask for and cannot have, before anything is pulled or made for them. */
export const checkServices = (
  project: Project,
  services: readonly string[],
  state: Pick<StateReader, 'sharedNetworks' | 'networks'>,
): void => {
  for (const name of services) {
    refuseUnsupported(name, project.services[name] ?? {});
  }
  checkNetworks(project, services, state);
};
