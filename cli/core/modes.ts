/** Words of `--ansi` and COMPOSE_ANSI. */
export const ANSI_MODES = ['auto', 'never', 'always'] as const;

/** Words of `--progress`, COMPOSE_PROGRESS and BUILDKIT_PROGRESS; `rawjson` and `none` come from docker build. */
export const PROGRESS_MODES = ['auto', 'tty', 'plain', 'json', 'rawjson', 'quiet', 'none'] as const;

/** Words of `--ports` and HYPR_PORTS. */
export const PORT_MODES = ['fixed', 'auto'] as const;
