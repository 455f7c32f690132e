import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { listStacks } from '../../client/list-stacks.ts';
import { stackPaths } from '../../model/stack-paths.ts';

/** The text format of Prometheus, version 0.0.4. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** A supervisor that does not answer is left out. */
const STACK_MS = 5_000;
const MOST_BYTES = 8 << 20;

/** The metrics of all stacks in one text; those of a stack come from its supervisor, where one runs. */
export const collectAllMetrics = async (signal: AbortSignal): Promise<string> => {
  const stacks = listStacks({ all: true });
  const answers = await Promise.all(stacks.map(({ name }) => readStack(name, signal)));
  const running = answers.filter((text) => text !== undefined);
  const own =
    `# HELP hypr_stacks Stacks of this user, by whether their supervisor answers.\n# TYPE hypr_stacks gauge\n` +
    `hypr_stacks{supervised="true"} ${running.length}\nhypr_stacks{supervised="false"} ${stacks.length - running.length}\n`;
  return own + mergeFamilies(running);
};

/** Texts of several sources as one: each family once, with the samples of all (a family must not stand twice). */
export const mergeFamilies = (texts: readonly string[]): string => {
  const families = new Map<string, { head: string[]; samples: string[] }>();
  for (const text of texts) {
    let current: { head: string[]; samples: string[] } | undefined;
    for (const line of text.split('\n').filter((each) => each !== '')) {
      const name = /^# HELP (\S+)/.exec(line)?.[1];
      if (name !== undefined) {
        current = families.get(name) ?? { head: [], samples: [] };
        families.set(name, current);
      }
      if (!line.startsWith('#')) {
        current?.samples.push(line);
      } else if (current !== undefined && current.samples.length === 0 && current.head.length < 2) {
        current.head.push(line);
      }
    }
  }
  return [...families.values()].map(({ head, samples }) => `${[...head, ...samples].join('\n')}\n`).join('');
};

const readStack = (name: string, signal: AbortSignal): Promise<string | undefined> => {
  const socketPath = stackPaths(name).apiSocket;
  if (!existsSync(socketPath)) {
    return Promise.resolve(undefined);
  }
  return new Promise((resolve) => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(STACK_MS)]);
    const asked = request({ socketPath, path: '/metrics', signal: limit, agent: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
        if (text.length > MOST_BYTES) {
          answer.destroy();
        }
      });
      answer.once('close', () => resolve(answer.complete && answer.statusCode === 200 ? text : undefined));
    });
    asked.once('error', () => resolve(undefined)).end();
  });
};
