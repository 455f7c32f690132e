/** Where descriptors begin that a service manager passes on (sd_listen_fds(3)). */
const FIRST = 3;

/**
 * The descriptor of a socket that systemd listens on already and that this process was started for; undefined where there is none. The
 * variables are taken away: what is started from here must not believe that they are meant for it. Throws when several were passed.
 */
export const takePassedSocket = (env: NodeJS.ProcessEnv = process.env, pid: number = process.pid): number | undefined => {
  const { LISTEN_PID, LISTEN_FDS } = env;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) {
    delete env[name];
  }
  if (LISTEN_PID !== String(pid) || LISTEN_FDS === undefined || LISTEN_FDS === '0') {
    return undefined;
  }
  if (LISTEN_FDS !== '1') {
    throw new RangeError(`${LISTEN_FDS} sockets were passed, and one is served`);
  }
  return FIRST;
};
