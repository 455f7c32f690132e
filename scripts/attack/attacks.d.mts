export interface Attack {
  readonly attack: string;
  readonly stoppedBy: string;
  /** From the root of the repository. A *.vm.test.ts boots machines. */
  readonly file: string;
  /** A part of the names of the tests that try it. */
  readonly test: string;
}
export const ATTACKS: readonly Attack[];

export interface TestOutcome {
  /** From the root of the repository. */
  readonly file: string;
  readonly name: string;
  readonly status: string;
}
export type Verdict = 'refused' | 'SUCCEEDED' | 'not tried';
export function judge(attacks: readonly Attack[], outcomes: readonly TestOutcome[]): Array<Attack & { readonly verdict: Verdict }>;
export function formatMatrix(rows: ReadonlyArray<Attack & { readonly verdict: Verdict }>): string;
