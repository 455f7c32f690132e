import type { Project } from '../../compose/model/model.ts';
import type { SharedMachine } from '../model/spec.ts';
import type { PreStartHook } from '../resolve/pre-start.ts';

/** The desired state of one service: how many replicas, and what each is made from. */
export interface DesiredService {
  readonly scale: number;
  readonly configHash: string;
  readonly imageId: string;
  readonly networks: readonly string[];
  readonly volumes: readonly string[];
  /** Name of the replica with the given number. */
  readonly nameOf: (number: number) => string;
  /** The replica in whose machine they run; absent where each has its own. */
  readonly shares?: SharedMachine;
  /** Its `pre_start` hooks; absent when there are none. */
  readonly preStart?: readonly PreStartHook[];
  /** One extra replica for `run`: this plan boots it, and the client that attaches starts it. */
  readonly oneOff?: boolean;
}

export interface Desired {
  readonly project: Project;
  readonly services: Readonly<Record<string, DesiredService>>;
  /** Network keys → hash of their configuration. */
  readonly networks: Readonly<Record<string, string>>;
}
