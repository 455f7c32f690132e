import { posix } from 'node:path';
import type { Stage, StageInstruction } from '../instruction.ts';
import { type CheckInput, type CheckRule, eachInstruction, type Found, quote } from './types.ts';

const SECRET = /(?:^|_)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)/i;
const NO_SECRET = /(?:^|_)(?:public|file|version)(?:_|$)/i;

/** Checks of single instructions, and of instructions that a stage should have only once. */
export const instructionRules: readonly CheckRule[] = [
  {
    name: 'JSONArgsRecommended',
    summary: 'CMD and ENTRYPOINT in exec form, so that signals arrive',
    find: (input) =>
      eachInstruction(input, (instruction, stage) =>
        isShellForm(instruction) && !stage.instructions.some(({ kind }) => kind === 'shell')
          ? `JSON arguments recommended for ${instruction.kind.toUpperCase()} to prevent unintended behavior related to OS signals`
          : undefined,
      ),
  },
  {
    name: 'MaintainerDeprecated',
    summary: 'A label names the author',
    find: (input) =>
      eachInstruction(input, ({ kind }) =>
        kind === 'maintainer' ? 'Maintainer instruction is deprecated in favor of using label' : undefined,
      ),
  },
  { name: 'WorkdirRelativePath', summary: 'The first WORKDIR of a stage is absolute', find: (input) => findRelativeWorkdirs(input) },
  {
    name: 'MultipleInstructionsDisallowed',
    summary: 'One CMD, HEALTHCHECK and ENTRYPOINT per stage',
    find: ({ dockerfile }) =>
      dockerfile.stages.flatMap((stage) => (['cmd', 'healthcheck', 'entrypoint'] as const).flatMap((kind) => findOverridden(stage, kind))),
  },
  {
    name: 'LegacyKeyValueFormat',
    summary: 'ENV and LABEL with an equals sign',
    find: (input) =>
      eachInstruction(input, (instruction) => {
        const name = instruction.kind.toUpperCase();
        const isLegacy = (instruction.kind === 'env' || instruction.kind === 'label') && instruction.pairs.some(({ legacy }) => legacy);
        return isLegacy ? `"${name} key=value" should be used instead of legacy "${name} key value" format` : undefined;
      }),
  },
  {
    name: 'SecretsUsedInArgOrEnv',
    summary: 'Secrets are mounted, not kept in the image',
    find: ({ dockerfile }) =>
      [...dockerfile.globalArgs, ...dockerfile.stages.flatMap(({ instructions }) => instructions)].flatMap((instruction) =>
        namesOf(instruction)
          .filter((name) => SECRET.test(name) && !NO_SECRET.test(name))
          .map((name) => ({
            message: `Do not use ARG or ENV instructions for sensitive data (${instruction.kind.toUpperCase()} ${quote(name)})`,
            line: instruction.range.line,
          })),
      ),
  },
  { name: 'CopyIgnoredFile', summary: 'What is copied is not excluded by .dockerignore', find: (input) => findIgnored(input) },
  {
    name: 'ExposeProtoCasing',
    summary: 'Protocols in lower case',
    find: (input) =>
      eachPort(input, (port) =>
        /\/.*[A-Z]/.test(port) ? `Defined protocol '${port}' in EXPOSE instruction should be lowercase` : undefined,
      ),
  },
  {
    name: 'ExposeInvalidFormat',
    summary: 'EXPOSE is about the image, not about the host',
    find: (input) =>
      eachPort(input, (port) =>
        port.includes(':') && !port.includes('$')
          ? `EXPOSE instruction should not define an IP address or host-port mapping, found '${port}'`
          : undefined,
      ),
  },
];

const isShellForm = (instruction: StageInstruction): boolean =>
  (instruction.kind === 'cmd' || instruction.kind === 'entrypoint') &&
  instruction.command.form === 'shell' &&
  instruction.command.args.length > 0;

/** Reports all but the last one, because only the last one has an effect. */
const findOverridden = (stage: Stage, kind: 'cmd' | 'healthcheck' | 'entrypoint'): Found[] =>
  stage.instructions
    .filter((instruction) => instruction.kind === kind)
    .slice(0, -1)
    .map(({ range }) => ({
      message: `Multiple ${kind.toUpperCase()} instructions should not be used in the same stage because only the last one will be used`,
      line: range.line,
    }));

const findRelativeWorkdirs = ({ dockerfile }: CheckInput): Found[] => {
  const anchored = new Set<string>();
  return dockerfile.stages.flatMap((stage) => {
    let isAnchored = anchored.has(stage.from.image.toLowerCase());
    const found: Found[] = [];
    for (const instruction of stage.instructions) {
      if (instruction.kind === 'workdir') {
        const path = instruction.value.replace(/^["']/, '');
        // A variable may contain an absolute path.
        if (!isAnchored && !/^[/$]/.test(path)) {
          const message = `Relative workdir ${quote(instruction.value)} can have unexpected results if the base image changes`;
          found.push({ message, line: instruction.range.line });
        }
        isAnchored ||= /^[/$]/.test(path);
      }
    }
    if (isAnchored && stage.from.name !== undefined) {
      anchored.add(stage.from.name);
    }
    return found;
  });
};

const namesOf = (instruction: StageInstruction): string[] => {
  if (instruction.kind === 'arg') {
    return instruction.args.map(({ name }) => name);
  }
  return instruction.kind === 'env' ? instruction.pairs.map(({ name }) => name) : [];
};

const findIgnored = (input: CheckInput): Found[] => {
  const { isIgnored } = input;
  return isIgnored === undefined
    ? []
    : eachInstruction(input, (instruction) => {
        if (instruction.kind !== 'add' && (instruction.kind !== 'copy' || instruction.from !== undefined)) {
          return undefined;
        }
        const source = instruction.sources.find(
          (path) => isPlainPath(path) && isIgnored(posix.normalize(`/${path}`).replace(/^\/|\/$/g, '')),
        );
        const verb = instruction.kind === 'add' ? 'Add' : 'Copy';
        return source === undefined ? undefined : `Attempting to ${verb} file ${quote(source)} that is excluded by .dockerignore`;
      });
};

/** Not a pattern, a variable or a URL. */
const isPlainPath = (path: string): boolean => !/[*?[$\\:]/.test(path);

const eachPort = (input: CheckInput, find: (port: string) => string | undefined): Found[] =>
  input.dockerfile.stages.flatMap(({ instructions }) =>
    instructions.flatMap((instruction) =>
      instruction.kind !== 'expose'
        ? []
        : instruction.values.flatMap((port) => {
            const message = find(port);
            return message === undefined ? [] : [{ message, line: instruction.range.line }];
          }),
    ),
  );
