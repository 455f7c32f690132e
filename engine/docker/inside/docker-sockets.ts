import type { Duplex } from 'node:stream';
import { messageOf } from '../../../base/errors.ts';
import { logger } from '../../../base/log.ts';
import { openObjects } from '../../client/objects.ts';
import { type MachineServer, serveMachine } from './serve-machine.ts';

const log = logger('docker');

/** Docker's API for machines of a stack that mount its socket; each has a server of its own from its first connection on. */
export class DockerSockets {
  readonly #servers = new Map<string, MachineServer>();

  /** `replica`: the id of the machine that the connection comes from. */
  accept(replica: string, connection: Duplex): void {
    try {
      this.#serverOf(replica).accept(connection);
    } catch (error) {
      log.warn('a connection of a machine is refused', { replica, error: messageOf(error) });
      connection.destroy();
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#servers.values()].map((server) => server.close()));
    this.#servers.clear();
  }

  /** A replica that is replaced has another id. */
  #serverOf(replica: string): MachineServer {
    const known = this.#servers.get(replica);
    if (known !== undefined) {
      return known;
    }
    const detail = openObjects()
      .replicas(replica)
      .find(({ status }) => status.id === replica);
    if (detail === undefined) {
      throw new Error('the machine is not recorded');
    }
    const server = serveMachine(detail);
    this.#servers.set(replica, server);
    return server;
  }
}
