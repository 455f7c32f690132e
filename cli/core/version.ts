import { VERSION } from '../../engine/model/version.ts';

export const HYPR_VERSION = VERSION;

/** The docker compose whose commands, flags and formats hypr follows; tools compare it as a semantic version. */
export const COMPOSE_VERSION = '5.5.0';

/** The docker whose commands and options hypr follows, and its API's version; there is no API of docker's. */
export const DOCKER_VERSION = '28.5.2';
export const DOCKER_API_VERSION = '1.51';
