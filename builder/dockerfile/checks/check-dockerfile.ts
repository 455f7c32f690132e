import type { Dockerfile } from '../instruction.ts';
import { baseRules } from './base-rules.ts';
import { instructionRules } from './instruction-rules.ts';
import { stageRules } from './stage-rules.ts';
import type { CheckFinding, CheckInput, CheckRule } from './types.ts';
import { variableRules } from './variable-rules.ts';

/** All checks, under the names that `# check=skip=` uses. */
export const checkRules: readonly CheckRule[] = [...stageRules, ...instructionRules, ...variableRules, ...baseRules];

export interface CheckReport {
  /** By line. */
  readonly findings: readonly CheckFinding[];
  /** `error=true`: a finding fails the build. */
  readonly failing: boolean;
}

/**
 * The build checks of BuildKit's front end (docs.docker.com/reference/build-checks). `# check=skip=A,B`
 * at the top (or the build argument BUILDKIT_DOCKERFILE_CHECK) skips some; such a comment directly
 * above an instruction skips them for that one. Experimental checks run only with
 * `# check=experimental=A,B` (or all).
 */
export const checkDockerfile = (input: CheckInput): CheckReport => {
  const config = parseConfig(input.buildArgs.BUILDKIT_DOCKERFILE_CHECK ?? input.dockerfile.directives.check ?? '');
  const skipped = skippedAt(input.dockerfile);
  const findings = checkRules
    .filter(
      ({ name, experimental }) => experimental !== true || config.experimental.has(name.toLowerCase()) || config.experimental.has('all'),
    )
    .filter(({ name }) => !config.skip.has(name.toLowerCase()) && !config.skip.has('all'))
    .flatMap(({ name, find }) => find(input).map((found): CheckFinding => ({ rule: name, ...found })))
    .filter(({ rule, line }) => !skipped(rule, line));
  return { findings: findings.sort((a, b) => a.line - b.line), failing: config.error };
};

interface CheckConfig {
  readonly skip: ReadonlySet<string>;
  readonly experimental: ReadonlySet<string>;
  readonly error: boolean;
}

const parseConfig = (text: string): CheckConfig => {
  const fields = new Map(
    text.split(';').map((field) => [field.split('=', 1)[0]?.trim() ?? '', field.slice(field.indexOf('=') + 1).trim()]),
  );
  const namesOf = (field: string): ReadonlySet<string> => {
    const names = (fields.get(field) ?? '').split(',').map((name) => name.trim().toLowerCase());
    return new Set(names.filter((name) => name !== ''));
  };
  return { skip: namesOf('skip'), experimental: namesOf('experimental'), error: fields.get('error') === 'true' };
};

/** `# check=skip=…` among the comments right above an instruction. */
const skippedAt = (dockerfile: Dockerfile): ((rule: string, line: number) => boolean) => {
  const all = [...dockerfile.globalArgs, ...dockerfile.stages.flatMap(({ from, instructions }) => [from, ...instructions])];
  const byLine = new Map(
    all.flatMap(({ range, comments }) => {
      const found = comments.map((comment) => /^check\s*=\s*(.+)$/i.exec(comment)?.[1]).find((text) => text !== undefined);
      return found === undefined ? [] : [[range.line, parseConfig(found).skip] as const];
    }),
  );
  return (rule, line) => {
    const skip = byLine.get(line);
    return skip !== undefined && (skip.has('all') || skip.has(rule.toLowerCase()));
  };
};
