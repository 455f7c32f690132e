import { HyprError } from '../../../base/errors.ts';
import { parseReference } from '../../registry/config/reference.ts';
import { ExpandError, expandWord } from '../expand.ts';
import { type CheckInput, type CheckRule, eachFrom, type Found, quote } from './types.ts';
import { plainReferences } from './variables.ts';

const RESERVED = ['scratch', 'context'];

/** Checks of FROM, of the names of stages, and of how keywords are written. */
export const stageRules: readonly CheckRule[] = [
  {
    name: 'StageNameCasing',
    summary: 'Stage names in lower case',
    find: (input) =>
      eachFrom(input, ({ text }) => {
        const { name } = readFrom(text);
        return name !== undefined && name !== name.toLowerCase() ? `Stage name '${name}' should be lowercase` : undefined;
      }),
  },
  {
    name: 'FromAsCasing',
    summary: 'AS is written like FROM',
    find: (input) =>
      eachFrom(input, ({ text }) => {
        const { from, as } = readFrom(text);
        return as !== undefined && isLower(from) !== isLower(as) ? `'${as}' and '${from}' keywords' casing do not match` : undefined;
      }),
  },
  {
    name: 'NoEmptyContinuation',
    summary: 'No empty lines in continued instructions',
    find: ({ dockerfile }) => dockerfile.warnings.map(({ message, line }) => ({ message: message.replace(/^\w+: /, ''), line })),
  },
  { name: 'ConsistentInstructionCasing', summary: 'Keywords in one case', find: (input) => findOddCasing(input) },
  {
    name: 'DuplicateStageName',
    summary: 'Stage names are unique',
    find: (input) =>
      eachFrom(input, ({ name }, stage) =>
        name !== undefined && input.dockerfile.stages.slice(0, stage.index).some(({ from }) => from.name === name)
          ? `Duplicate stage name ${quote(name)}, stage names should be unique`
          : undefined,
      ),
  },
  {
    name: 'ReservedStageName',
    summary: 'Reserved words are not stage names',
    find: (input) =>
      eachFrom(input, ({ name }) =>
        name !== undefined && RESERVED.includes(name)
          ? `Stage name should not use the same name as reserved stage ${quote(name)}`
          : undefined,
      ),
  },
  {
    name: 'RedundantTargetPlatform',
    summary: 'The target platform is the default',
    find: (input) =>
      eachFrom(input, ({ platform }) =>
        platform === '$TARGETPLATFORM' || platform === '${TARGETPLATFORM}'
          ? `Setting platform to predefined ${platform} in FROM is redundant as this is the default behavior`
          : undefined,
      ),
  },
  {
    name: 'FromPlatformFlagConstDisallowed',
    summary: 'FROM --platform is not a constant',
    find: (input) =>
      eachFrom(input, ({ platform, name }) => {
        const isNamedSo = platform?.split('/').some((part) => name?.includes(part)) ?? false;
        return platform !== undefined && !platform.includes('$') && !isNamedSo
          ? `FROM --platform flag should not use constant value ${quote(platform)}`
          : undefined;
      }),
  },
  { name: 'InvalidDefaultArgInFrom', summary: 'The defaults of ARGs give a base image', find: (input) => findInvalidBases(input) },
];

const readFrom = (text: string): { from: string; as: string | undefined; name: string | undefined } => {
  const match = /^(from)\s.*?(?:\s(as)\s+(\S+))?\s*$/is.exec(text);
  return { from: match?.[1] ?? 'FROM', as: match?.[2], name: match?.[3] };
};

const isLower = (word: string): boolean => word === word.toLowerCase();

const findOddCasing = ({ dockerfile }: CheckInput): Found[] => {
  const all = [...dockerfile.globalArgs, ...dockerfile.stages.flatMap(({ from, instructions }) => [from, ...instructions])];
  const keywords = all.map(({ text, range }) => ({ keyword: text.split(/\s/, 1)[0] ?? '', line: range.line }));
  const lower = keywords.filter(({ keyword }) => isLower(keyword)).length;
  const upper = keywords.filter(({ keyword }) => keyword === keyword.toUpperCase()).length;
  const majority = lower > upper ? 'lowercase' : 'uppercase';
  return keywords
    .filter(({ keyword }) => keyword !== (majority === 'lowercase' ? keyword.toLowerCase() : keyword.toUpperCase()))
    .map(({ keyword, line }) => ({ message: `Command '${keyword}' should match the case of the command majority (${majority})`, line }));
};

/** FROM without any --build-arg. */
const findInvalidBases = (input: CheckInput): Found[] => {
  const { dockerfile } = input;
  const escapeChar = dockerfile.directives.escape;
  const values = new Map<string, string>();
  const lookup = (name: string) => values.get(name);
  const declared = new Set<string>();
  for (const { name, value } of dockerfile.globalArgs.flatMap(({ args }) => args)) {
    declared.add(name);
    const expanded = expandQuietly(value ?? '', lookup, escapeChar);
    if (value !== undefined && expanded !== undefined) {
      values.set(name, expanded);
    }
  }
  return eachFrom(input, ({ image }) => {
    const names = plainReferences(image, escapeChar);
    const base = expandQuietly(image, lookup, escapeChar);
    return names.length > 0 && names.every((name) => declared.has(name)) && base !== undefined && !isImageName(base)
      ? `Default value for ARG ${image} results in empty or invalid base image name`
      : undefined;
  });
};

const expandQuietly = (text: string, lookup: (name: string) => string | undefined, escapeChar: string): string | undefined => {
  try {
    return expandWord(text, lookup, { escape: escapeChar });
  } catch (error) {
    if (error instanceof ExpandError) {
      return undefined;
    }
    throw error;
  }
};

const isImageName = (name: string): boolean => {
  try {
    parseReference(name);
    return true;
  } catch (error) {
    if (error instanceof HyprError) {
      return false;
    }
    throw error;
  }
};
