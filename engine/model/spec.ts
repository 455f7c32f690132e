import type { DockerAccess } from '../../compose/model/docker-access.ts';
import type { Egress } from '../../compose/model/egress.ts';
import type { Isolation } from '../../compose/model/isolation.ts';
import type { HookConfig } from '../../compose/model/model.ts';
import type { ProcessSpec } from '../../guest/types.ts';
import type { CardWish } from '../../vmm/model/machine.ts';

/**
 * Everything that decides how one replica runs, resolved from the Compose service and its image;
 * plain JSON, kept in the database so that a restart needs neither the file nor the registry.
 */
export interface ReplicaSpec {
  readonly service: string;
  readonly number: number;
  readonly name: string;
  readonly hostname: string;
  readonly domainname: string | undefined;
  readonly image: string;
  readonly process: ProcessSpec;
  readonly stopSignal: number;
  readonly stopGraceMs: number;
  /** Undefined: the default of the VMM in use. */
  readonly vcpus: number | undefined;
  readonly memoryMib: number | undefined;
  /** What its writable layer can hold; absent: as much as any. */
  readonly diskMib?: number;
  readonly networks: readonly ReplicaNetwork[];
  readonly ports: readonly ReplicaPort[];
  /** `80/tcp`: declared by `expose:` or the image, not published. */
  readonly exposed: readonly string[];
  readonly mounts: readonly ReplicaMount[];
  readonly files: readonly ReplicaFile[];
  readonly health: HealthSpec | undefined;
  readonly restart: RestartPolicy;
  /** Started again when its health check calls it unhealthy, whatever the policy says. */
  readonly restartUnhealthy?: true;
  /** It runs machines itself and has /dev/kvm; absent where it does not. */
  readonly nested?: true;
  /** Cards of the host that its machine has; absent: none. */
  readonly cards?: readonly CardWish[];
  /** What runs before it in machines of their own, as the file says it; a change replaces the replica. */
  readonly preStart?: readonly HookConfig[];
  /** Programs run beside the workload; absent when there are none. */
  readonly hooks?: { readonly postStart: readonly HookSpec[]; readonly preStop: readonly HookSpec[] };
  readonly extraHosts: ReadonlyArray<{ readonly address: string; readonly names: readonly string[] }>;
  /** Names that only this replica resolves → services (`links: [db:database]`). */
  readonly links?: Readonly<Record<string, string>>;
  /** Present: its machine has no NIC. */
  readonly isolated?: Isolation;
  /** Present: it runs in the machine of another replica and has its network. */
  readonly shares?: SharedMachine;
  /** Where it may connect to outside its networks; absent: everywhere. */
  readonly egress?: Egress;
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly sysctls: Readonly<Record<string, string>>;
  readonly readOnly: boolean;
  readonly shmSize: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** Its input ends with the first client that writes to it (docker's API). */
  readonly stdinOnce?: boolean;
  /**
   * Remove the replica when it has ended; `stack`: its stack too, if nothing else is in it. `ended`: as `stack`, but what was only created
   * stays, because it is started by another call.
   */
  readonly autoRemove?: 'replica' | 'stack' | 'ended';
}

/** Whose machine a replica runs in. */
export interface SharedMachine {
  readonly service: string;
  /** The name of that replica. */
  readonly replica: string;
  /** It has its message queues and shared memory, too. */
  readonly ipc?: true;
}

export interface ReplicaNetwork {
  /** Of its stack's network, or of a shared one (network-key.ts). */
  readonly key: string;
  readonly aliases: readonly string[];
  readonly address: string | undefined;
  readonly address6?: string;
  readonly mac: string | undefined;
  readonly interfaceName: string;
  /** Carries the default route. */
  readonly isDefault: boolean;
}

export interface ReplicaPort {
  readonly protocol: 'tcp' | 'udp';
  /** As written in the file; empty means this host's default address. */
  readonly hostAddress: string;
  /** First and last host port it may use; 0–0: any free port. */
  readonly hostPorts: readonly [number, number];
  readonly port: number;
}

export type ReplicaMount =
  | {
      readonly kind: 'volume';
      readonly volume: string;
      readonly target: string;
      readonly readOnly: boolean;
      readonly subpath: string | undefined;
      readonly seed: boolean;
    }
  /** The root of an image, or a folder of it, to read; `imageId` is known when its replica is planned. */
  | {
      readonly kind: 'image';
      readonly image: string;
      readonly imageId: string;
      readonly target: string;
      readonly readOnly: true;
      readonly subpath: string | undefined;
    }
  | { readonly kind: 'anonymous'; readonly target: string; readonly readOnly: boolean }
  | {
      readonly kind: 'bind';
      readonly source: string;
      readonly target: string;
      readonly readOnly: boolean;
      readonly create: boolean /** Filled from the image while it is empty. */;
      readonly seed?: boolean;
      /** A copy on the machine's disk that is kept equal: `folder`: refused where the source is a file; `any`: a file is a plain mount then. */
      readonly synced?: 'folder' | 'any';
    }
  /** Docker's socket, at which hypr answers: `engine/docker/inside`. */
  | { readonly kind: 'docker'; readonly target: string; readonly readOnly: false; readonly access: DockerAccess }
  | {
      readonly kind: 'tmpfs';
      readonly target: string;
      readonly readOnly: boolean;
      readonly size: number | undefined;
      readonly mode: number | undefined;
    };

/** A secret or config: where its content comes from, and where it goes. */
export interface ReplicaFile {
  readonly source: { readonly file: string } | { readonly environment: string } | { readonly content: string };
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Its file is read whole and is sent with the machine's configuration, with all others of its service. */
export const SECRET_OR_CONFIG = { what: 'secret or config', maxBytes: 16 << 20 } as const;

/** Times in milliseconds; defaults are docker's (30 s, 30 s, 0, 5 s, 3). */
export interface HealthSpec {
  readonly args: readonly string[];
  readonly interval: number;
  readonly timeout: number;
  readonly startPeriod: number;
  readonly startInterval: number;
  readonly retries: number;
}

/** Members left out are as for the workload. `env`: `KEY=VALUE`, overriding the workload's. */
export interface HookSpec {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly user: string | undefined;
  readonly workdir: string | undefined;
  readonly privileged: boolean;
}

export interface RestartPolicy {
  readonly condition: 'no' | 'always' | 'on-failure' | 'unless-stopped';
  /** Maximum attempts of on-failure; 0: no limit. */
  readonly maxAttempts: number;
  /** Milliseconds before the first restart; doubles up to a minute. */
  readonly delay: number;
}

// Attributes that hypr itself gives a service, and that no file can have: the schema knows none of them.

/** Its stack is removed once it has ended (docker's API). */
export const AUTO_REMOVE = 'auto_remove';
/** Its standard input ends with the first client that was attached to it (docker's API). */
export const STDIN_ONCE = 'stdin_once';
/** The size of its terminal from its start on (docker's API). */
export const TERMINAL_SIZE = 'terminal_size';
/** What docker's API was asked for and has no effect; `inspect` tells it (docker's API). */
export const ASKED = 'asked_host_config';
/** Every exposed port of it and of its image is published on a free port of this host (`run -P`). */
export const PUBLISH_ALL = 'publish_all';
