/** Default names of a Compose file, the preferred one first. */
export const DEFAULT_FILES = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];

/** hypr's own names, which win over compose.yaml. The override file is hypr-compose.override.yml. */
export const HYPR_FILES = ['hypr-compose.yml', 'hypr-compose.yaml', 'Hyprfile', 'Hyprfile.yml', 'Hyprfile.yaml'];

/** The `reason` of COMPOSE_NOT_FOUND where no file was named and there is none here, unlike one that was named and is missing. */
export const NO_COMPOSE_FILE = 'no-compose-file';
