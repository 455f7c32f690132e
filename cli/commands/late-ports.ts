/** `8080:80`, `127.0.0.1:8080:80/tcp`, `[::1]:53:53/udp`, ranges: with a port of the host, so that a program's own `-p 80` is left to it. */
const MAPPING = /^(?:(?:\[[0-9a-f:.]+\]|[\w.-]+):)?\d+(?:-\d+)?:\d+(?:-\d+)?(?:\/(?:tcp|udp))?$/i;

export interface LatePorts {
  /** As of `--publish`. */
  readonly ports: readonly string[];
  /** What is left for the image's program. */
  readonly command: readonly string[];
}

/**
 * Port mappings right behind the image: `run nginx -p 8080:80` publishes, where docker would run a program called `-p`. A `--` before one
 * gives it to the program. Pure.
 */
export const takeLatePorts = (args: readonly string[]): LatePorts => {
  const ports: string[] = [];
  let at = 0;
  for (let found = mappingAt(args, at); found !== undefined; found = mappingAt(args, at)) {
    ports.push(found.port);
    at += found.words;
  }
  const isGiven = args[at] === '--' && mappingAt(args, at + 1) !== undefined;
  return { ports, command: args.slice(isGiven ? at + 1 : at) };
};

/** `-p 8080:80`, `-p8080:80`, `--publish 8080:80`, `--publish=8080:80`. */
const mappingAt = (args: readonly string[], at: number): { readonly port: string; readonly words: number } | undefined => {
  const word = args[at] ?? '';
  const [port, words] =
    word === '-p' || word === '--publish' ? ([args[at + 1] ?? '', 2] as const) : ([word.replace(/^(?:--publish=|-p)/, ''), 1] as const);
  return port !== word && MAPPING.test(port) ? { port, words } : undefined;
};
