import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { listFolder } from '../../base/host/files.ts';
import { identifyProcess } from '../../base/host/process.ts';
import type { Project } from '../../compose/model/model.ts';
import type { Platform } from '../model/platform.ts';
import type { StackNetworks } from '../resources/networks.ts';
import { orphanDisks } from '../resources/orphan-volumes.ts';
import type { VmRow } from '../state/records.ts';
import type { StateStore } from '../state/store.ts';

interface StackPlace {
  readonly stack: string;
  readonly store: StateStore;
  readonly platform: Platform;
}

type Rows = ReadonlyMap<string, { readonly row: VmRow }>;

/** Records the model. A command that names services has a model of only those; other services that run stay in the record. */
export const recordStack = ({ stack, store }: StackPlace, project: Project, replicas: Rows): void => {
  const known = store.stack(stack);
  const present = new Set([...replicas.values()].map(({ row }) => row.service));
  const beside = Object.entries(known?.project.services ?? {}).filter(
    ([name]) => present.has(name) && project.disabledServices[name] !== undefined,
  );
  store.putStack({
    name: stack,
    workingDir: project.workingDir,
    files: project.files,
    project: {
      ...project,
      services: { ...Object.fromEntries(beside), ...project.services },
      networks: { ...known?.project.networks, ...project.networks },
      volumes: { ...known?.project.volumes, ...project.volumes },
      environment: neededEnvironment(project, known?.project, replicas),
    },
    supervisor: identifyProcess(process.pid),
    createdAt: known?.createdAt ?? Date.now(),
  });
};

/**
 * Of the environment of the command, in which there may be anything, only the variables that are secrets and configs: a restart
 * has nobody to ask for them. What a service's own environment holds is in its replicas' specs, for the same reason.
 */
const neededEnvironment = (project: Project, known: Project | undefined, replicas: Rows): Record<string, string> => {
  const objects = [project.secrets, project.configs].flatMap((each) => Object.values(each).flatMap(({ environment }) => environment ?? []));
  const files = [...replicas.values()].flatMap(({ row }) =>
    row.spec.files.flatMap(({ source }) => ('environment' in source ? [source.environment] : [])),
  );
  return Object.fromEntries(
    [...new Set([...objects, ...files])].flatMap((name) => {
      const value = project.environment[name] ?? known?.environment[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
};

/**
 * Deletes the record of a stack without replicas; removes its networks first if `networks` is given. What a replica was to hand on to a
 * successor that was never made stays as volumes that nobody has, unless `volumes`.
 */
export const forgetStack = async (
  { stack, store, platform }: StackPlace,
  { networks, volumes = false }: { readonly networks?: StackNetworks; readonly volumes?: boolean },
): Promise<void> => {
  if (networks !== undefined) {
    await Promise.all(store.networks(stack).map((row) => networks.remove(row.key)));
  }
  const machines = join(platform.paths.machines, stack);
  for (const replica of volumes ? [] : await listFolder(machines)) {
    await orphanDisks({ paths: platform.paths, store }, { folder: join(machines, replica), of: `${stack} ${replica}` });
  }
  store.removeStack(stack);
  await rm(machines, { recursive: true, force: true });
};

/** Whether a command with these service names includes this service; no names means all. */
export const isNamed = (services: readonly string[], service: string): boolean => services.length === 0 || services.includes(service);
