import type { Duplex } from 'node:stream';
import { HyprError } from '../../base/errors.ts';
import { runtimeDir } from '../../base/paths.ts';
import { openTunnel } from '../../net/client/streams.ts';
import { type NameDirectory, type NamedService, nameDomain } from '../../net/names/directory.ts';
import { dnsLabel } from '../../net/names/stack-names.ts';
import type { ApiClient } from '../api/client/client.ts';
import { namesFrom } from '../api/messages/names.ts';
import type { PublishedName, PublishedNames } from '../model/published-names.ts';
import { followStacks } from './follow-stacks.ts';
import { mergeNames } from './merge-names.ts';

/**
 * The names of all stacks of this user, as their supervisors tell them. It fills as they answer, which takes some
 * milliseconds; `onChange` reports each change.
 */
export const openNameDirectory = (folder: string = runtimeDir()): NameDirectory => new Directory(folder);

class Directory implements NameDirectory {
  readonly #stacks = new Map<string, PublishedNames>();
  readonly #listeners = new Set<() => void>();
  readonly #domain = nameDomain();
  readonly #end: () => void;
  #names = new Map<string, NamedService>();
  /** Project names of all stacks, as labels of DNS. */
  #projects = new Set<string>();
  /** Which replica of each name takes the next connection. */
  readonly #turns = new Map<string, number>();

  constructor(folder: string) {
    this.#end = followStacks(folder, readNames, (stack, names) => this.#take(stack, names));
  }

  find(host: string): NamedService | undefined {
    const name = host.toLowerCase();
    const exact = this.#names.get(name);
    if (exact !== undefined) {
      return exact;
    }
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
      const wildcard = this.#names.get(`*${name.slice(dot)}`);
      if (wildcard !== undefined && !this.#isBelowOther(name, wildcard.stack)) {
        return wildcard;
      }
    }
    return undefined;
  }

  /** Whether a name is below the project name of another stack: what that stack does not have, nobody else may answer for. */
  #isBelowOther(name: string, stack: string): boolean {
    const project = name.slice(name.lastIndexOf('.') + 1);
    return project !== '' && project !== dnsLabel(stack) && this.#projects.has(project);
  }

  list(): NamedService[] {
    return [...this.#names.values()];
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#end();
    this.#stacks.clear();
    this.#names.clear();
    this.#listeners.clear();
  }

  #take(folder: string, names: PublishedNames | undefined): void {
    if (names === undefined) {
      this.#stacks.delete(folder);
    } else {
      this.#stacks.set(folder, names);
    }
    this.#projects = new Set([...this.#stacks.values()].map((each) => dnsLabel(each.stack)));
    this.#names = new Map(mergeNames([...this.#stacks.values()]).map(({ stack, name }) => [name.host, this.#serviceOf(stack, name)]));
    for (const listener of [...this.#listeners]) {
      listener();
    }
  }

  #serviceOf(stack: string, { targets, isExtra: _, owner: __, ...name }: PublishedName): NamedService {
    const connect = async (port: number, signal: AbortSignal): Promise<Duplex> => {
      const open = targets.filter(({ ports }) => ports.includes(port));
      const turn = this.#turns.get(name.host) ?? 0;
      this.#turns.set(name.host, turn + 1);
      const target = open[turn % Math.max(1, open.length)];
      if (target === undefined) {
        throw unreachable(this.#fullName(name.host), port, name, targets.length);
      }
      return openTunnel(target.socket, target.address, port, signal);
    };
    return { ...name, stack, ports: [...name.ports], connect };
  }

  #fullName(host: string): string {
    return host.endsWith('.') ? host.slice(0, -1) : `${host}.${this.#domain}`;
  }
}

type Known = Pick<PublishedName, 'state' | 'service' | 'ports'>;

const unreachable = (host: string, port: number, { state, service = 'it', ports }: Known, targets: number): HyprError => {
  if (state !== 'running') {
    return new HyprError('NAME_NOT_READY', `${host} cannot be reached: ${service} is ${state || 'not running'}`, {
      hint: 'see what it says with hypr compose logs, and start it with hypr compose up -d',
    });
  }
  const others = ports.map((each) => each.port).join(', ');
  return new HyprError(
    'NAME_UNREACHABLE',
    `${host} cannot be reached: ${targets === 0 ? `${service} has no network` : `nothing listens on port ${port}`}`,
    {
      hint:
        targets === 0
          ? 'a machine without a NIC has no ports for others'
          : others === ''
            ? 'a server must listen on 0.0.0.0; on 127.0.0.1 it is its own machine alone that reaches it'
            : `it listens on ${others}`,
    },
  );
};

async function* readNames(api: ApiClient, signal: AbortSignal): AsyncGenerator<PublishedNames> {
  for await (const message of api.rpc.names({}, { signal })) {
    yield namesFrom(message);
  }
}
