import { HyprError, messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { homePaths } from '../../base/paths.ts';
import { dnsPort, serveDns } from '../../net/dns/serve.ts';
import { serveEdge } from '../../net/edge/edge.ts';
import type { Edge, EdgeEvent, EdgeOptions } from '../../net/edge/http/types.ts';
import { type NameDirectory, nameDomain } from '../../net/names/directory.ts';
import { systemKnowsNames } from '../../net/names/system-names.ts';
import type { EdgeInfo } from '../model/edge.ts';
import { leafIssuer } from './leaf-issuer.ts';
import { openLogLines } from './log-lines.ts';
import { edgePorts } from './settings.ts';

const log = logger('edge');

export interface ServeOptions {
  readonly directory: NameDirectory;
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Serves everything of the holder of the edge: names over HTTP and TLS on the edge's port, DNS, and 80 and 443 once the system asks us
 * for names (`hypr setup --system`) and if this user may listen there. What cannot be had is left out and named in `info`; it never throws for
 * it, only for a setting that is wrong. Closing closes the directory too, and so does a throw.
 */
export const serveAll = async (options: ServeOptions): Promise<Serving> => {
  try {
    return await serveOrThrow(options);
  } catch (error) {
    options.directory.close();
    throw error;
  }
};

interface Serving {
  info(): Promise<EdgeInfo>;
  close(): Promise<void>;
}

const serveOrThrow = async (options: ServeOptions): Promise<Serving> => {
  const { directory, env = process.env } = options;
  const ports = { edge: edgePorts(env), dns: dnsPort(env) };
  const domain = nameDomain(env);
  const problems: string[] = [];
  const issuer = leafIssuer(homePaths().authority, domain);
  const common = {
    ...{ directory, domain, issuer },
    logs: openLogLines(homePaths().logs),
    onEvent: (event: EdgeEvent) => {
      log.warn(`${event.program} refuses the name ${event.host}: set ${event.setting}`, { stack: event.stack, service: event.service });
    },
  };
  const edge = await firstOf(ports.edge, problems, (port) =>
    serveEdge({
      ...common,
      listen: [
        { address: '127.0.0.1', port },
        { address: '::1', port, optional: true },
      ],
    }),
  );
  const dns = await serveDnsOr(directory, domain, ports.dns, problems);
  const system = new SystemPorts(common);
  if (edge !== undefined && dns !== undefined) {
    // Nobody waits for this: a resolver may take seconds to say no.
    system.open().catch((error: unknown) => log.warn('the ports of the system are not served', { error: messageOf(error) }));
  }
  for (const problem of problems) {
    log.warn(problem);
  }
  const portOf = (each: Edge): number => each.addresses[0]?.port ?? 0;
  return {
    info: async () => ({
      ...{ pid: process.pid, domain, tls: issuer.version() !== undefined, problems },
      ...(edge === undefined ? {} : { port: portOf(edge) }),
      // Names may have been set up since the last try, and somebody wants to know now.
      systemPorts: edge === undefined || dns === undefined ? [] : (await system.open()).map(portOf),
      ...(dns === undefined ? {} : { dnsPort: dns.port }),
    }),
    close: async () => {
      await Promise.all([edge?.close(), system.close(), dns?.close()]);
      directory.close();
    },
  };
};

/** The first port that can be had. Who holds the ones before it is reported, even when a later port was free. */
const firstOf = async (ports: readonly number[], problems: string[], serve: (port: number) => Promise<Edge>): Promise<Edge | undefined> => {
  for (const port of ports) {
    try {
      return await serve(port);
    } catch (error) {
      if (!isTaken(error)) {
        throw error;
      }
      if (port === ports[0]) {
        const others = ports.length > 1 ? 'names answer on the next free port' : 'set HYPR_EDGE_PORT to another, or free it';
        problems.push(`names do not answer on port ${port}: ${messageOf(error)}; ${others}`);
      }
    }
  }
  return undefined;
};

/**
 * Opens 80 and 443: only where the system's resolver asks us, because elsewhere no name leads there and a stack may want to publish them. Says
 * nothing where they cannot be had.
 */
class SystemPorts {
  readonly #options: Omit<EdgeOptions, 'listen'>;
  #opening: Promise<Edge[]> | undefined;
  #isClosed = false;

  constructor(options: Omit<EdgeOptions, 'listen'>) {
    this.#options = options;
  }

  /** Opens them if the system asks us by now; returns those that are open. */
  async open(): Promise<Edge[]> {
    this.#opening ??= this.#try();
    const edges = await this.#opening;
    if (edges.length === 0) {
      this.#opening = undefined;
    }
    return edges;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all((await this.#opening)?.map((each) => each.close()) ?? []);
  }

  async #try(): Promise<Edge[]> {
    const edges: Edge[] = [];
    if (!(await systemKnowsNames(this.#options.domain))) {
      return edges;
    }
    for (const port of this.#isClosed ? [] : [80, 443]) {
      try {
        edges.push(
          await serveEdge({
            ...this.#options,
            listen: [
              { address: '127.0.0.1', port },
              { address: '::1', port, optional: true },
            ],
          }),
        );
      } catch (error) {
        if (!isTaken(error)) {
          log.warn('a port of the system is not served', { port, error: messageOf(error) });
        }
      }
    }
    return edges;
  }
}

const isTaken = (error: unknown): boolean =>
  error instanceof HyprError && ['NET_PORT_IN_USE', 'NET_PORT_DENIED', 'NET_ADDRESS'].includes(error.code);

const serveDnsOr = async (directory: NameDirectory, domain: string, port: number | undefined, problems: string[]) => {
  try {
    return port === undefined ? undefined : await serveDns(directory, { port, domain });
  } catch (error) {
    problems.push(`there is no DNS for .${domain}: ${messageOf(error)}`);
    return undefined;
  }
};
