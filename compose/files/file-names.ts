/** Names a Compose file is found by, the preferred one first. */
export const DEFAULT_FILES = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];

/** Those of HYPR: whoever has one beside a compose.yaml means it. Their override is hypr-compose.override.yml. */
export const HYPR_FILES = ['hypr-compose.yml', 'hypr-compose.yaml', 'Hyprfile', 'Hyprfile.yml', 'Hyprfile.yaml'];
