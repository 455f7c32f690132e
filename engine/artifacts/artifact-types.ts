/** Media types and annotations of a Compose project in a registry, as docker compose 5 writes and reads them (`publish`, `-f oci://…`). */
export const ARTIFACT = {
  type: 'application/vnd.docker.compose.project',
  file: 'application/vnd.docker.compose.file+yaml',
  envFile: 'application/vnd.docker.compose.envfile',
  /** The config of a manifest for registries without artifact types (OCI 1.0). */
  emptyConfig: 'application/vnd.docker.compose.config.empty.v1+json',
} as const;

export const ANNOTATION = {
  version: 'com.docker.compose.version',
  file: 'com.docker.compose.file',
  envFile: 'com.docker.compose.envfile',
  isExtended: 'com.docker.compose.extends',
} as const;

/** image-spec manifest.md: the config of an artifact that has none. */
export const EMPTY_JSON = 'application/vnd.oci.empty.v1+json';
