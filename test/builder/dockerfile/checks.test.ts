import { expect, test } from 'vitest';
import { checkDockerfile, checkRules } from '../../../builder/dockerfile/checks/check-dockerfile.ts';
import type { CheckInput } from '../../../builder/dockerfile/checks/types.ts';
import { parseDockerfile } from '../../../builder/dockerfile/parse.ts';

const check = (text: string, rest: Partial<CheckInput> = {}) =>
  checkDockerfile({
    dockerfile: parseDockerfile(text, 'Dockerfile'),
    buildArgs: {},
    baseEnv: () => new Set(['NODE_VERSION']),
    basePlatform: ({ from }) => ({
      name: from.image,
      found: from.image === 'arm' ? 'linux/arm64' : 'linux/amd64',
      expected: 'linux/amd64',
    }),
    isIgnored: (path) => path === 'ignored' || path.startsWith('ignored/'),
    ...rest,
  });
const shown = (text: string, rest?: Partial<CheckInput>) =>
  check(text, rest).findings.map(({ rule, message, line }) => `${rule}:${line}: ${message}`);

/** Rule → a Dockerfile with the fault, what is said about it, and one without. */
const EXAMPLES: Readonly<Record<string, readonly [bad: string, says: string, good: string]>> = {
  StageNameCasing: ['FROM a AS Build', "1: Stage name 'Build' should be lowercase", 'FROM a AS build'],
  FromAsCasing: ['FROM a as build', "1: 'as' and 'FROM' keywords' casing do not match", 'from a as build'],
  NoEmptyContinuation: ['FROM a\nEXPOSE \\\n\n80', '4: Empty continuation line', 'FROM a\nEXPOSE \\\n# why\n80'],
  ConsistentInstructionCasing: [
    'FROM a\nRun x\nRUN y',
    "2: Command 'Run' should match the case of the command majority (uppercase)",
    'from a\nrun x\nrun y',
  ],
  DuplicateStageName: [
    'FROM a AS b\nFROM a AS B2\nFROM c AS b'.replace('B2', 'b2'),
    '3: Duplicate stage name "b", stage names should be unique',
    'FROM a AS b\nFROM a AS c',
  ],
  ReservedStageName: ['FROM a AS context', '1: Stage name should not use the same name as reserved stage "context"', 'FROM a AS contexts'],
  RedundantTargetPlatform: [
    'FROM --platform=$TARGETPLATFORM a',
    '1: Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior',
    'FROM --platform=$BUILDPLATFORM a',
  ],
  FromPlatformFlagConstDisallowed: [
    'FROM --platform=linux/amd64 a',
    '1: FROM --platform flag should not use constant value "linux/amd64"',
    'FROM --platform=linux/amd64 a AS build_amd64',
  ],
  InvalidDefaultArgInFrom: [
    'ARG TAG\nFROM busybox:${TAG}',
    '2: Default value for ARG busybox:${TAG} results in empty or invalid base image name',
    'ARG TAG=latest\nFROM busybox:${TAG}',
  ],
  UndefinedArgInFrom: [
    'ARG VERSION=1\nFROM a:${VERSON}',
    "2: FROM argument 'VERSON' is not declared (did you mean VERSION?)",
    'ARG VERSION=1\nFROM --platform=$BUILDPLATFORM a:${VERSION}',
  ],
  UndefinedVar: [
    'FROM a\nENV GREETING=x\nCOPY $GREETIN .',
    "3: Usage of undefined variable '$GREETIN' (did you mean $GREETING?)",
    "FROM a AS b\nARG X\nENV Y=$X:$PATH:$NODE_VERSION\nLABEL z='$none' y=\\$none x=${none:-d}\nFROM b\nWORKDIR /$Y\nRUN echo $shell",
  ],
  JSONArgsRecommended: [
    'FROM a\nCMD node .',
    '2: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals',
    'FROM a\nSHELL ["/bin/bash", "-c"]\nENTRYPOINT node .',
  ],
  MaintainerDeprecated: [
    'FROM a\nMAINTAINER me',
    '2: Maintainer instruction is deprecated in favor of using label',
    'FROM a\nLABEL org.opencontainers.image.authors=me',
  ],
  WorkdirRelativePath: [
    'FROM a\nWORKDIR app\nWORKDIR /x\nWORKDIR y',
    '2: Relative workdir "app" can have unexpected results if the base image changes',
    'FROM a AS b\nWORKDIR /x\nFROM b\nWORKDIR y',
  ],
  MultipleInstructionsDisallowed: [
    'FROM a\nCMD ["x"]\nCMD ["y"]',
    '2: Multiple CMD instructions should not be used in the same stage because only the last one will be used',
    'FROM a\nCMD ["x"]\nFROM a\nCMD ["y"]',
  ],
  LegacyKeyValueFormat: [
    'FROM a\nENV DIR /x',
    '2: "ENV key=value" should be used instead of legacy "ENV key value" format',
    'FROM a\nENV DIR=/x',
  ],
  SecretsUsedInArgOrEnv: [
    'FROM a\nENV API_TOKEN=x',
    '2: Do not use ARG or ENV instructions for sensitive data (ENV "API_TOKEN")',
    'FROM a\nENV PUBLIC_KEY=x TOKEN_FILE=y KEYBOARD=z',
  ],
  CopyIgnoredFile: [
    'FROM a\nCOPY kept ./ignored/x /',
    '2: Attempting to Copy file "./ignored/x" that is excluded by .dockerignore',
    'FROM a\nCOPY --from=b ignored /\nCOPY kept ignored* . /',
  ],
  ExposeProtoCasing: [
    'FROM a\nEXPOSE 80/TcP',
    "2: Defined protocol '80/TcP' in EXPOSE instruction should be lowercase",
    'FROM a\nEXPOSE 80/tcp 90',
  ],
  ExposeInvalidFormat: [
    'FROM a\nEXPOSE 127.0.0.1:80:80',
    "2: EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'",
    'FROM a\nEXPOSE 80',
  ],
  InvalidBaseImagePlatform: [
    'FROM arm',
    '1: Base image arm was pulled with platform "linux/arm64", expected "linux/amd64" for current build',
    'FROM a',
  ],
  InvalidDefinitionDescription: [
    '# check=experimental=all\n\n# one\nFROM a AS base',
    '4: Comment for FROM should follow the format: `# base <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.',
    '# check=experimental=all\n\n# base is a stage\nFROM a AS base\n# V is a version\nARG V=1\n# apart\n\nARG W=1\n# empty\n#\nARG X=1',
  ],
};

test('every rule has its examples', () => {
  expect(Object.keys(EXAMPLES).sort()).toEqual(checkRules.map(({ name }) => name).sort());
});

test.each(Object.entries(EXAMPLES))('%s', (rule, [bad, says, good]) => {
  expect(shown(bad)).toEqual([`${rule}:${says}`]);
  expect(shown(good)).toEqual([]);
});

test('what is not known is not checked', () => {
  expect(shown('FROM a\nCOPY $x /\nCOPY ignored /', { baseEnv: () => undefined })).toEqual([
    'CopyIgnoredFile:3: Attempting to Copy file "ignored" that is excluded by .dockerignore',
  ]);
});

test('a copy of the whole context is checked too', () => {
  expect(shown('FROM a\nCOPY . /\n', { isIgnored: (path) => path === '' })).toEqual([
    'CopyIgnoredFile:2: Attempting to Copy file "." that is excluded by .dockerignore',
  ]);
});

test('checks are left out for the file, for one instruction, and by the build argument', () => {
  const file = 'FROM a as b\nCMD x\n';
  expect(shown(`# check=skip=JSONArgsRecommended,StageNameCasing\n${file}`)).toHaveLength(1);
  expect(shown(`# check=skip=all\n${file}`)).toEqual([]);
  expect(shown('FROM a as b\n# check=skip=JSONArgsRecommended\nCMD x\n')).toHaveLength(1);
  expect(shown(`# check=skip=all\n${file}`, { buildArgs: { BUILDKIT_DOCKERFILE_CHECK: 'skip=FromAsCasing' } })).toHaveLength(1);
  expect(check(`# check=error=true\n${file}`).failing).toBe(true);
  expect(check(file).failing).toBe(false);
});

test('an experimental check is made only when it is asked for', () => {
  const file = '\n# other\nARG X=1 Y=2\n# no\nFROM a AS base\n# what\nARG X\n';
  expect(shown(file)).toEqual([]);
  const found = check(`# check=experimental=InvalidDefinitionDescription\n${file}`).findings;
  expect(found.map(({ rule, line }) => `${rule}:${line}`)).toEqual([4, 6, 8].map((line) => `InvalidDefinitionDescription:${line}`));
  expect(found[0]?.message).toContain('`# <arg_key> <description>`');
});
