import type { FenceLayer } from './fence-check.ts';

/** One line of `hypr doctor`. */
export interface DoctorCheck {
  readonly id: string;
  readonly title: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  /** The command or step that fixes it. */
  readonly fix?: string;
  /** What `hypr doctor --fix` does about it; absent: it needs root, or a decision. */
  readonly repair?: 'set up' | 'recover';
  /** Of the fence round machines, shares and gateways: layer by layer. */
  readonly rows?: readonly FenceLayer[];
}
