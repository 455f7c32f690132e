import type { BuildCase } from './generate.ts';

interface Declared {
  readonly id: string;
  /** The whole line of a difference, as `compareCase` writes it. */
  readonly pattern: RegExp;
  /** Text that the Dockerfile has, where that is part of the reason. */
  readonly needs?: RegExp;
}

/** Differences that are on purpose, or docker's own faults. docs/builds.md says why. */
const DECLARED: readonly Declared[] = [];

/** The row that explains a difference. */
export const explainDifference = (difference: string, { dockerfile }: BuildCase): string | undefined =>
  DECLARED.find(({ pattern, needs }) => pattern.test(difference) && (needs?.test(dockerfile) ?? true))?.id;
