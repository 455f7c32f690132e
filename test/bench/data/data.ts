import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compileC } from '../../../base/host/compile.ts';
import { GROUPS, type Group, measureGroup } from './groups.ts';
import { makeBenchStack, type Tool } from './stack.ts';
import { DataTable } from './table.ts';

const SOURCE = new URL('../test/bench/data/probe.c', import.meta.url).pathname;

export interface DataBench {
  readonly hypr: string;
  readonly env: NodeJS.ProcessEnv;
  /** `[--rounds N] [--only GROUP,…] [--out FILE] [--scale F]`: `--scale 0.1` is a tenth of files and bytes. */
  readonly args: readonly string[];
}

/**
 * The data plane: network, volumes, shares, exec, cp and names of a stack of two services, the same on the guest's own tmpfs and
 * loopback, which says how much of it is the emulated processor's, and with docker where HYPR_COMPARE_DOCKER names its program. JSON lines
 * `{"name","tool","unit","median","runs"}`, then a Markdown table.
 */
export const benchData = async ({ hypr, env, args }: DataBench): Promise<void> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '1' },
      only: { type: 'string' },
      out: { type: 'string' },
      scale: { type: 'string', default: '1' },
    },
  });
  const groups = chooseGroups(values.only);
  const folder = await mkdtemp(join(tmpdir(), 'hypr-bench-data-'));
  const table = new DataTable();
  try {
    const probe = await compileC({ source: SOURCE, parts: ['probe.h', 'probe-net.c'], outDir: folder });
    for (const tool of toolsHere(hypr, env)) {
      const stack = await makeBenchStack({ tool, folder, probe });
      try {
        for (let round = 0; round < Math.max(1, Number(values.rounds) || 1); round++) {
          for (const group of groups) {
            await measureGroup(group, { stack, probe, table, scale: Number(values.scale) || 1 });
          }
        }
      } finally {
        await stack.end();
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  await table.report(values.out);
};

const chooseGroups = (only: string | undefined): readonly Group[] => {
  const wanted = only?.split(',');
  const unknown = wanted?.find((name) => !GROUPS.some((group) => group === name));
  if (unknown !== undefined) {
    throw new Error(`--only ${unknown}: there is ${GROUPS.join(', ')}`);
  }
  return GROUPS.filter((group) => wanted === undefined || wanted.includes(group));
};

const toolsHere = (hypr: string, env: NodeJS.ProcessEnv): Tool[] => {
  const docker = process.env.HYPR_COMPARE_DOCKER;
  return [
    { name: 'hypr', file: hypr, env },
    ...(docker === undefined ? [] : [{ name: 'docker' as const, file: docker, env: process.env }]),
  ];
};
