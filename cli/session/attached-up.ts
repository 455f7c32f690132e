import type { Project } from '../../compose/model/model.ts';
import type { Stack, UpOptions } from '../../engine/model/types.ts';
import type { Invocation } from '../core/command-spec.ts';

/** An `up` that stays attached: its options, and its stack. */
export interface AttachedUp {
  readonly invocation: Invocation;
  readonly stack: Stack;
  readonly project: Project;
  /** The same without ports that may move. */
  readonly loaded: Project;
  readonly options: UpOptions;
  /** Why `project` is not the stack's model, but only names its services: nothing may be made of it. */
  readonly noModel?: string | undefined;
}
