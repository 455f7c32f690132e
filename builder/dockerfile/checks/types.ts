import type { Dockerfile, FromInstruction, Stage, StageInstruction } from '../instruction.ts';

/** What a check found: a line of the Dockerfile and a sentence about it. */
export interface CheckFinding {
  /** BuildKit's name of the check, e.g. JSONArgsRecommended. */
  readonly rule: string;
  readonly message: string;
  readonly line: number;
}

/** What the checks look at beside the Dockerfile. What is not known is not checked. */
export interface CheckInput {
  readonly dockerfile: Dockerfile;
  readonly buildArgs: Readonly<Record<string, string>>;
  /** Names of the variables that a stage has from its base image; undefined: not known. */
  readonly baseEnv?: (stage: Stage) => ReadonlySet<string> | undefined;
  /** What a stage's base image is and should be, when it was looked at. */
  readonly basePlatform?: (stage: Stage) => BasePlatform | undefined;
  /** Whether .dockerignore excludes a path of the context. */
  readonly isIgnored?: (path: string) => boolean;
}

/** Platforms as `os/arch[/variant]`. */
export interface BasePlatform {
  /** As in FROM, variables expanded. */
  readonly name: string;
  readonly found: string;
  readonly expected: string;
}

export type Found = Omit<CheckFinding, 'rule'>;

/** One check as data: its name and how it finds its faults. */
export interface CheckRule {
  readonly name: string;
  /** What docker's documentation says it is for, in a few words. */
  readonly summary: string;
  /** Only made when `# check=experimental=` names it, or all. */
  readonly experimental?: boolean;
  readonly find: (input: CheckInput) => Found[];
}

/** Gives every instruction of every stage to `find`. */
export const eachInstruction = (
  { dockerfile }: CheckInput,
  find: (instruction: StageInstruction, stage: Stage) => string | undefined,
): Found[] =>
  dockerfile.stages.flatMap((stage) =>
    stage.instructions.flatMap((instruction) => {
      const message = find(instruction, stage);
      return message === undefined ? [] : [{ message, line: instruction.range.line }];
    }),
  );

export const eachFrom = ({ dockerfile }: CheckInput, find: (from: FromInstruction, stage: Stage) => string | undefined): Found[] =>
  dockerfile.stages.flatMap((stage) => {
    const message = find(stage.from, stage);
    return message === undefined ? [] : [{ message, line: stage.from.range.line }];
  });

/** As Go's %q for plain names. */
export const quote = (text: string): string => JSON.stringify(text);
