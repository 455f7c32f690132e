import type { Duplex } from 'node:stream';
import type { ReplicaDetail } from '../../model/types.ts';
import { makeRouter } from '../http/router.ts';
import { serveConnections } from '../http/serve-connections.ts';
import { Host } from '../machines/host.ts';
import { dockerRoutes } from '../routes/index.ts';
import { allowedRoutes } from './allowed-routes.ts';
import { scopeOf } from './scope.ts';
import { scopedView } from './scoped-view.ts';

/** Traefik has two, and each reader of a log or of events one. */
const MOST_CONNECTIONS = 64;
/** For a whole request; one that builds may send for long. */
const REQUEST_MS = 30_000;

/** Answers one machine's programs, which connect to docker's socket in it. */
export interface MachineServer {
  /** Takes a connection over; one too many is closed. */
  accept(connection: Duplex): void;
  close(): Promise<void>;
}

/** `detail`: of the machine, by which its scope is found. */
export const serveMachine = (detail: ReplicaDetail): MachineServer => {
  const scope = scopeOf(detail);
  const host = new Host(scopedView(scope));
  let open = 0;
  const { server, close } = serveConnections(
    makeRouter(allowedRoutes(dockerRoutes(host), scope.may)),
    (count) => {
      open = count;
      if (count === 0) {
        // Connections to supervisors are kept for some seconds, which would keep this one from ending.
        host.close();
      }
    },
    { requestMs: scope.may === 'everything' ? 0 : REQUEST_MS },
  );
  return {
    accept: (connection) => {
      if (open >= MOST_CONNECTIONS) {
        connection.destroy();
      } else {
        server.emit('connection', connection);
      }
    },
    close: async () => {
      await close();
      await host.work.ended();
      host.close();
    },
  };
};
