import { type CheckReport, checkDockerfile } from '../dockerfile/checks/check-dockerfile.ts';
import type { BasePlatform, CheckFinding, CheckInput } from '../dockerfile/checks/types.ts';
import { syntaxError } from '../dockerfile/errors.ts';
import { expandWord } from '../dockerfile/expand.ts';
import type { Dockerfile } from '../dockerfile/instruction.ts';
import { findTarget, parseDockerfile } from '../dockerfile/parse.ts';
import { isRemoteSource } from '../git/remote-source.ts';
import type { BuildRequest, Image } from '../model/types.ts';
import { resolveGlobals } from './frame/globals.ts';
import { formatPlatform, hostPlatform, parsePlatform } from './frame/platform.ts';
import { readIgnoreRules } from './sources/inputs.ts';
import { type LookOptions, readDefinition } from './sources/look.ts';

export interface BuildCheck {
  readonly file: string;
  /** Base name of the Dockerfile. */
  readonly name: string;
  readonly text: string;
  readonly findings: readonly CheckFinding[];
}

/**
 * `build --check`: reads the Dockerfile as a build would and lints it. Runs and pulls nothing; variables of a base image are
 * known only when the store has the image. Throws as
 * readDefinition, DOCKERFILE_SYNTAX.
 */
export const checkBuild = async (
  request: BuildRequest,
  options: LookOptions & { readonly findImage: (name: string) => Promise<Image | undefined> },
): Promise<BuildCheck> => {
  const { text, file, name } = await readDefinition(request, options);
  const dockerfile = parseDockerfile(text, file);
  findTarget(dockerfile, request.target);
  const platform = request.platform === undefined ? hostPlatform() : parsePlatform(request.platform);
  const globals = resolveGlobals(dockerfile, request, platform);
  const contexts = new Set(Object.keys(request.additionalContexts).map((each) => each.toLowerCase()));
  const isNamed = (reference: string) => contexts.has(reference.toLowerCase());
  const envs = new Map<number, ReadonlySet<string>>();
  const platforms = new Map<number, BasePlatform>();
  for (const stage of dockerfile.stages) {
    const reference = expandWord(stage.from.image, (variable) => globals.get(variable), { escape: dockerfile.directives.escape });
    const wanted = expandWord(stage.from.platform ?? '', (variable) => globals.get(variable), { escape: dockerfile.directives.escape });
    const image = isNamed(reference) ? undefined : await options.findImage(reference).catch(() => undefined);
    if (image !== undefined) {
      envs.set(stage.index, new Set(image.config.Env.map((entry) => entry.split('=', 1)[0] ?? '')));
      platforms.set(stage.index, { name: reference, found: image.platform, expected: wanted || formatPlatform(platform) });
    }
  }
  const { findings } = await runChecks(dockerfile, request, {
    baseEnv: (stage) => envs.get(stage.index),
    basePlatform: (stage) => comparable(platforms.get(stage.index)),
  });
  return { file, name, text, findings };
};

/** The checks with everything that is known about the context. */
export const runChecks = async (
  dockerfile: Dockerfile,
  request: BuildRequest,
  bases: Pick<CheckInput, 'baseEnv' | 'basePlatform'>,
): Promise<CheckReport> => {
  // A remote context has no .dockerignore; errors of a local one are reported by the step that needs the context.
  const rules = isRemoteSource(request.context)
    ? undefined
    : await readIgnoreRules(request.context, request.dockerfile).catch(() => undefined);
  const isIgnored = rules === undefined ? {} : { isIgnored: (path: string) => rules.excludesAll(path) };
  return checkDockerfile({ dockerfile, buildArgs: request.buildArgs, ...bases, ...isIgnored });
};

/** `# check=error=true`: findings stop the build before it starts. Throws DOCKERFILE_SYNTAX. */
export const failOnFindings = ({ findings, failing }: CheckReport, file: string): void => {
  const [first] = findings;
  if (failing && first !== undefined) {
    const rules = [...new Set(findings.map(({ rule }) => rule))];
    throw syntaxError(`lint violation found for rules: ${rules.join(', ')}`, { file, line: first.line });
  }
};

/** Whether two platforms are equal, however they are written; variants are not compared when one has none. */
const comparable = (base: BasePlatform | undefined): BasePlatform | undefined => {
  if (base === undefined) {
    return undefined;
  }
  const [found, expected] = [parsePlatform(base.found), parsePlatform(base.expected)];
  const same = found.os === expected.os && found.architecture === expected.architecture;
  const expectedText = formatPlatform(expected);
  return { ...base, expected: expectedText, found: same ? expectedText : formatPlatform(found) };
};
