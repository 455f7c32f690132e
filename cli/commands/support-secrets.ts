import { constants, open } from 'node:fs/promises';
import { join } from 'node:path';
import { readEnvFiles } from '../../compose/files/discover.ts';
import type { ReplicaDetail } from '../../engine/model/types.ts';
import type { CliContext } from '../core/context.ts';

/** How much of the end of each file is read. */
const END_BYTES = 256 * 1024;
const SECRET_NAME = /pass|pwd|secret|token|key|auth|credential/i;
/** Values of other variables: long ones may be addresses with a password; short ones are words that logs need. */
const LONG = 12;

/**
 * What must not leave this host: values that services get as environment, labels and files, those of the stacks' env files, and of the
 * user's own environment what its name says is a secret.
 */
export const secretValues = async (context: CliContext, machines: readonly ReplicaDetail[]): Promise<string[]> => {
  const fromFiles = await variablesOfStacks(context);
  const given = machines.flatMap(({ spec }) => [
    ...spec.process.env.map((entry) => {
      const at = entry.indexOf('=');
      return [entry.slice(0, at), entry.slice(at + 1)] as const;
    }),
    ...Object.entries(spec.labels),
  ]);
  const own = Object.entries(context.env).flatMap(([name, value]) => (value !== undefined && SECRET_NAME.test(name) ? [value] : []));
  return [
    ...[...given, ...fromFiles].filter(([name, value]) => SECRET_NAME.test(name) || value.length >= LONG).map(([, value]) => value),
    ...(await contentsOf(machines, { env: context.env, fromFiles })).flatMap((content) => content.split(/\r?\n/)),
    ...own,
  ];
};

type Variables = ReadonlyArray<readonly [name: string, value: string]>;

/** Of secrets and configs. A variable may have its value from the command's environment, or from an env file only. */
const contentsOf = async (
  machines: readonly ReplicaDetail[],
  { env, fromFiles }: { env: NodeJS.ProcessEnv; fromFiles: Variables },
): Promise<string[]> => {
  const sources = machines.flatMap(({ spec }) => spec.files.map(({ source }) => source));
  const contents = sources.map(async (source): Promise<string[]> => {
    if ('file' in source) {
      return [await readEnd(source.file)];
    }
    return 'content' in source
      ? [source.content]
      : [env[source.environment] ?? '', ...fromFiles.filter(([name]) => name === source.environment).map(([, value]) => value)];
  });
  return (await Promise.all(contents)).flat();
};

/** What the `.env` of each stack and the env files that were named for it say; those that are gone say nothing. */
const variablesOfStacks = async (context: CliContext): Promise<Variables> => {
  const files = new Set<string>();
  try {
    for (const { workingDir, envFiles } of await (await context.engine()).listStacks({ all: true })) {
      for (const file of [join(workingDir, '.env'), ...envFiles]) {
        files.add(file);
      }
    }
  } catch {
    // A database that cannot be read is told by doctor.
  }
  const read = [...files].map(async (file): Promise<Variables> => {
    // As lines too: one that the parser refuses must not make the others known.
    const lines = (await readEnd(file)).split(/\r?\n/).map((line) => /^\s*(?:export\s+)?([\w.-]+)\s*[=:]\s*(.*?)\s*$/.exec(line));
    const raw = lines.flatMap((found) => (found === null ? [] : [[found[1] ?? '', unquote(found[2] ?? '')] as const]));
    try {
      return [...raw, ...(await readEnvFiles([file], new Map(), { signal: context.interrupts.signal }))];
    } catch {
      return raw;
    }
  });
  return (await Promise.all(read)).flat();
};

const unquote = (text: string): string => /^(["'])(.*)\1$/.exec(text)?.[2] ?? text;

/** The end of a file; empty where there is none. */
export const readEnd = async (path: string): Promise<string> => {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { size } = await file.stat();
    const length = Math.min(size, END_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.toString('utf8', 0, bytesRead);
  } catch {
    return '';
  }
};
