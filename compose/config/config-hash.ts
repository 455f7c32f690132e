import { createHash } from 'node:crypto';
import type { Project, Service } from '../model/model.ts';
import { compactServiceJson } from './render.ts';

/**
 * SHA-256 (hex) of everything that, when changed, means a replica is replaced: the service without its build,
 * pull policy, number of replicas, dependencies and profiles. The same value as docker compose's.
 */
export const serviceConfigHash = (service: Service): string => {
  const { build: _build, pull_policy: _policy, scale: _scale, depends_on: _dependencies, profiles: _profiles, ...rest } = service;
  const hashed = {
    ...rest,
    ...(rest.deploy === undefined ? {} : { deploy: withoutReplicas(rest.deploy) }),
    ...(rest.env_file === undefined ? {} : { env_file: shortEnvFiles(rest.env_file as EnvFile[]) }),
  };
  return createHash('sha256').update(compactServiceJson(hashed)).digest('hex');
};

/** Lines of `config --hash`: every enabled service, or those named (comma list), by name. */
export const serviceHashes = (project: Project, names?: readonly string[]): Array<{ name: string; hash: string }> =>
  Object.entries(project.services)
    .filter(([name]) => names === undefined || names.includes(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, service]) => ({ name, hash: serviceConfigHash(service) }));

interface EnvFile {
  readonly path: string;
  readonly required?: boolean;
}

/** Required env files are written as their path alone, as compose 2.40 does in JSON. */
const shortEnvFiles = (files: readonly EnvFile[]): unknown[] => files.map((file) => (file.required === false ? file : file.path));

const withoutReplicas = (deploy: NonNullable<Service['deploy']>): object => {
  const { replicas: _, ...rest } = deploy;
  return rest;
};
