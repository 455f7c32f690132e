import { HyprError, messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { homePaths } from '../../base/paths.ts';
import { dnsPort, serveDns } from '../../net/dns/serve.ts';
import { serveEdge } from '../../net/edge/edge.ts';
import type { Edge, EdgeEvent } from '../../net/edge/http/types.ts';
import { type NameDirectory, nameDomain } from '../../net/names/directory.ts';
import type { EdgeInfo } from './info.ts';
import { leafIssuer } from './leaf-issuer.ts';
import { openLogLines } from './log-lines.ts';
import { edgePorts } from './settings.ts';

const log = logger('edge');

export interface ServeOptions {
  readonly directory: NameDirectory;
  readonly env?: NodeJS.ProcessEnv;
  readonly onEvent?: (event: EdgeEvent) => void;
}

/**
 * Serves all that the holder of the edge serves: names over HTTP and TLS on the edge's port, on 80 and 443 where this user may listen there, and
 * DNS. What cannot be had is left out and said in `info`; never throws for it. Closing closes the directory too.
 */
export const serveAll = async (options: ServeOptions): Promise<{ info(): EdgeInfo; close(): Promise<void> }> => {
  const { directory, env = process.env } = options;
  const domain = nameDomain(env);
  const problems: string[] = [];
  const issuer = leafIssuer(homePaths().authority, domain);
  const common = {
    ...{ directory, domain, issuer },
    logs: openLogLines(homePaths().logs),
    onEvent: (event: EdgeEvent) => {
      log.warn(`${event.program} refuses the name ${event.host}: set ${event.setting}`, { stack: event.stack, service: event.service });
      options.onEvent?.(event);
    },
  };
  const edges: Edge[] = [];
  const edge = await firstOf(edgePorts(env), problems, (port) =>
    serveEdge({
      ...common,
      listen: [
        { address: '127.0.0.1', port },
        { address: '::1', port, optional: true },
      ],
    }),
  );
  if (edge !== undefined) {
    edges.push(edge, ...(await serveSystemPorts(common)));
  }
  const dns = await serveDnsOr(directory, domain, env, problems);
  for (const problem of problems) {
    log.warn(problem);
  }
  const portOf = (each: Edge): number => each.addresses[0]?.port ?? 0;
  return {
    info: () => ({
      ...{ pid: process.pid, domain, tls: issuer.version() !== undefined, problems },
      ...(edge === undefined ? {} : { port: portOf(edge) }),
      systemPorts: edges.slice(1).map(portOf),
      ...(dns === undefined ? {} : { dnsPort: dns.port }),
    }),
    close: async () => {
      await Promise.all([...edges.map((each) => each.close()), dns?.close()]);
      directory.close();
    },
  };
};

/** The first port that can be had. Who holds those before it is a problem to tell, also when another one does. */
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

/** 80 and 443, which most hosts give to root only: without a word where they cannot be had. */
const serveSystemPorts = async (common: Omit<Parameters<typeof serveEdge>[0], 'listen'>): Promise<Edge[]> => {
  const edges: Edge[] = [];
  for (const port of [80, 443]) {
    try {
      edges.push(
        await serveEdge({
          ...common,
          listen: [
            { address: '127.0.0.1', port },
            { address: '::1', port, optional: true },
          ],
        }),
      );
    } catch (error) {
      if (!isTaken(error)) {
        throw error;
      }
    }
  }
  return edges;
};

const isTaken = (error: unknown): boolean =>
  error instanceof HyprError && ['NET_PORT_IN_USE', 'NET_PORT_DENIED', 'NET_ADDRESS'].includes(error.code);

const serveDnsOr = async (directory: NameDirectory, domain: string, env: NodeJS.ProcessEnv, problems: string[]) => {
  const port = dnsPort(env);
  try {
    return port === undefined ? undefined : await serveDns(directory, { port, domain });
  } catch (error) {
    problems.push(`there is no DNS for .${domain}: ${messageOf(error)}`);
    return undefined;
  }
};
