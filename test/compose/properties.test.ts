import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments, parse as parseYamlText, stringify } from 'yaml';
import { HyprError } from '../../base/errors.ts';
import { type ConfigOptions, runConfig } from '../../compose/index.ts';
import { removeAtExit } from '../support/left-over.ts';
import { SEED, times } from '../support/seed.ts';
import { generateProject } from './compare/generate.ts';
import { parseConfigArgs } from './config-args.ts';

const PROJECTS = times(150);
const TIMEOUT = times(120_000);
let scratch = '';

beforeAll(async () => {
  scratch = removeAtExit(await realpath(await mkdtemp(join(tmpdir(), 'hypr-properties-'))));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** Generated projects that are valid, as options to load them. */
const eachProject = async (
  change: (path: string, text: string) => string,
  use: (options: ConfigOptions, index: number) => Promise<void>,
): Promise<number> => {
  let used = 0;
  for (let index = 0; index < PROJECTS; index++) {
    const { files, env, args } = generateProject(SEED, index);
    const cwd = join(scratch, `p${index}`);
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(cwd, path)), { recursive: true });
      await writeFile(join(cwd, path), change(path, text));
    }
    const options = parseConfigArgs(args[0] ?? [], { cwd, env: { HOME: '/home/u', ...env } });
    const isValid = await runConfig(options).then(
      () => true,
      (error: unknown) => {
        expect(error).toBeInstanceOf(HyprError);
        return false;
      },
    );
    if (isValid) {
      used += 1;
      await use(options, index);
    }
  }
  return used;
};

const again = async (options: ConfigOptions, stdout: string): Promise<string> =>
  (await runConfig({ ...options, files: ['-'], stdin: () => Promise.resolve(Buffer.from(stdout)) })).stdout;

/** With the variables as they are written; undefined where that is refused. */
const rawConfig = (options: ConfigOptions): Promise<string | undefined> =>
  runConfig({ ...options, interpolate: false }).then(
    ({ stdout }) => stdout,
    (error: unknown) => {
      expect(error).toBeInstanceOf(HyprError);
      return undefined;
    },
  );

/** Every mapping's entries the other way round; texts that are not plain YAML stay. */
const reverseMaps = (path: string, text: string): string => {
  if (!/\.ya?ml$/.test(path) || text.includes('!') || text.includes('<<')) {
    return text;
  }
  try {
    return parseAllDocuments(text).length > 1
      ? text
      : stringify(reversed(parseYamlText(text)), { version: '1.1', aliasDuplicateObjects: false });
  } catch {
    return text;
  }
};

const reversed = (value: unknown): unknown => {
  if (Array.isArray(value)) {
    return value.map(reversed);
  }
  return value === null || typeof value !== 'object'
    ? value
    : Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([key, item]) => [key, reversed(item)]),
      );
};

describe('generated projects', () => {
  test(
    'config of its own output is itself, in YAML and JSON, filled in or not',
    async () => {
      const used = await eachProject(
        (_, text) => text,
        async (options, index) => {
          const raw = await rawConfig(options);
          // An empty content is not printed, and without it a config says nothing: so it is in docker compose.
          if (raw?.includes('content: ""')) {
            return;
          }
          // Where the schema wants one of a few words, a variable is refused unless it is filled in.
          const ways = [{}, { format: 'json' as const }, ...(raw === undefined ? [] : [{ interpolate: false }])];
          for (const way of ways) {
            const first = await runConfig({ ...options, ...way });
            // As in docker compose, JSON has no models at the top level, capitals in blkio_config and no zeros in ulimits: not to be read again.
            if ('format' in way && /"models"|"Path"|"(core|nofile)": \{\}/.test(first.stdout)) {
              continue;
            }
            // An empty context is not printed, as in docker compose, and a missing one is the project's folder.
            if (/\bbuild"?:( \{)?\n\s+(?!"?context\b)/.test(first.stdout)) {
              continue;
            }
            expect([index, await again({ ...options, ...way }, first.stdout)]).toEqual([index, first.stdout]);
          }
        },
      );
      expect(used).toBeGreaterThan(PROJECTS / 5);
    },
    TIMEOUT,
  );

  test(
    'the order of mappings does not matter',
    async () => {
      const before = new Map<number, string>();
      await eachProject(
        (_, text) => text,
        async (options, index) => {
          before.set(index, (await runConfig(options)).stdout);
        },
      );
      await eachProject(reverseMaps, async (options, index) => {
        expect([index, (await runConfig(options)).stdout]).toEqual([index, before.get(index)]);
      });
    },
    TIMEOUT,
  );
});
