import type { Dockerfile, FromInstruction, Stage, StageInstruction } from '../instruction.ts';

/** What a check found: a line of the Dockerfile and a sentence about it. */
export interface CheckFinding {
  /** BuildKit's name of the check, e.g. JSONArgsRecommended. */
  readonly rule: string;
  readonly message: string;
  readonly line: number;
}

/** Facts that checks use beside the Dockerfile. Checks of facts that are not known are skipped. */
export interface CheckInput {
  readonly dockerfile: Dockerfile;
  readonly buildArgs: Readonly<Record<string, string>>;
  /** Names of the variables that a stage inherits from its base image; undefined if not known. */
  readonly baseEnv?: (stage: Stage) => ReadonlySet<string> | undefined;
  /** The platform of a stage's base image and the expected one, if the image was inspected. */
  readonly basePlatform?: (stage: Stage) => BasePlatform | undefined;
  /** Whether .dockerignore leaves nothing of a path of the context; the empty path is all of it. */
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

/** One check: its name, and the function that finds violations. */
export interface CheckRule {
  readonly name: string;
  /** Its purpose by docker's documentation, in a few words. */
  readonly summary: string;
  /** Only runs if `# check=experimental=` names it, or all. */
  readonly experimental?: boolean;
  readonly find: (input: CheckInput) => Found[];
}

/** Calls `find` for every instruction of every stage. */
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
