import { SyntaxFault, syntaxError } from './errors.ts';
import type { ArgInstruction, Dockerfile, FromInstruction, Instruction, RawInstruction, Stage, StageInstruction } from './instruction.ts';
import { lexDockerfile } from './lex.ts';
import { parseInstruction } from './parse-instruction.ts';
import { didYouMean } from './suggest.ts';

/**
 * Parses a Dockerfile as BuildKit's built-in front end does (frontend/dockerfile 1.x). `file` is its name
 * in errors. Throws DOCKERFILE_SYNTAX with file and line.
 */
export const parseDockerfile = (text: string, file: string): Dockerfile => {
  const lexed = lexDockerfile(text, file);
  const globalArgs: ArgInstruction[] = [];
  const stages: Array<{ index: number; from: FromInstruction; instructions: StageInstruction[] }> = [];
  for (const raw of lexed.instructions) {
    const instruction = parseAt(raw, file);
    const stage = stages.at(-1);
    if (instruction.kind === 'from') {
      stages.push({ index: stages.length, from: instruction, instructions: [] });
    } else if (stage !== undefined) {
      stage.instructions.push(instruction);
    } else if (instruction.kind === 'arg') {
      globalArgs.push(instruction);
    } else {
      throw syntaxError('no build stage in current context', { file, line: raw.range.line });
    }
  }
  if (stages.length === 0) {
    throw syntaxError('the file has no FROM: no build stage in current context', {
      file,
      line: lexed.instructions.at(-1)?.range.line ?? 1,
    });
  }
  return { file, directives: lexed.directives, globalArgs, stages, warnings: lexed.warnings, text };
};

/** Parses a single instruction of an image's `OnBuild` list. Throws DOCKERFILE_SYNTAX. */
export const parseTrigger = (text: string, file: string): StageInstruction[] => {
  const lexed = lexDockerfile(text, file);
  return lexed.instructions.map((raw) => {
    const instruction = parseAt(raw, file);
    if (instruction.kind === 'from' || instruction.kind === 'onbuild') {
      throw syntaxError(`${raw.keyword.toUpperCase()} isn't allowed as an ONBUILD trigger`, { file, line: raw.range.line });
    }
    return instruction;
  });
};

/** The stage for a name or an index, or the last stage if `target` is missing. Throws DOCKERFILE_SYNTAX if there is none. */
export const findTarget = (dockerfile: Dockerfile, target: string | undefined): Stage => {
  const { stages } = dockerfile;
  const found = target === undefined || target === '' ? stages.at(-1) : findStage(stages, target);
  if (found === undefined) {
    const names = stages.flatMap(({ from }) => from.name ?? []);
    throw syntaxError(`target stage ${JSON.stringify(target)} could not be found${didYouMean(target ?? '', names)}`, {
      file: dockerfile.file,
      line: stages.at(-1)?.from.range.line ?? 1,
    });
  }
  return found;
};

/** By name (ignoring case; the last one of that name) or by index. */
export const findStage = (stages: readonly Stage[], reference: string): Stage | undefined =>
  stages.findLast(({ from }) => from.name === reference.toLowerCase()) ??
  (/^\d{1,6}$/.test(reference) ? stages[Number(reference)] : undefined);

const parseAt = (raw: RawInstruction, file: string): Instruction => {
  try {
    return parseInstruction(raw);
  } catch (error) {
    if (error instanceof SyntaxFault) {
      throw syntaxError(error.message, { file, line: raw.range.line });
    }
    throw error;
  }
};
