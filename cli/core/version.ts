import { VERSION } from '../../engine/model/version.ts';

export { DOCKER_API_VERSION, DOCKER_VERSION } from '../../engine/model/version.ts';

export const HYPR_VERSION = VERSION;

/** The docker compose whose commands, flags and formats hypr follows; tools compare it as a semantic version. */
export const COMPOSE_VERSION = '5.5.0';
