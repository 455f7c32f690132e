import { type AddressInfo, createServer, type Server } from 'node:net';
import { expect, test } from 'vitest';
import { hypr } from '../../support/cli.ts';
import { TestStack } from '../../support/stack.ts';
import { FAILURES, type Failure } from './failures.ts';

const listen = (): Promise<Server> =>
  new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => resolve(server));
  });

/** Without what no two runs have alike: folders, ports, pids, times, ids, and progress. */
const steady = (text: string, words: ReadonlyArray<readonly [string, string]>): string =>
  words
    .reduce((all, [from, to]) => all.replaceAll(from, to), text)
    .replace(/\(pid \d+[^)]*\)/g, '(pid N)')
    .replace(/\b\d+(?:\.\d+)? ?(?:ms|s|seconds|milliseconds)\b/g, 'TIME')
    .replace(/^ {2}https:\/\/registry-1\.docker\.io: .*$/gm, '  https://registry-1.docker.io: …')
    .replace(/sha256:[0-9a-f]{12,64}/g, 'sha256:ID')
    .replace(/booted in .*/g, 'booted in …')
    .replace(/127\.0\.0\.1:\d{4,5}\b/g, '127.0.0.1:NUMBER')
    .replace(/\b(?:less than a second|about a minute|\d+ (?:second|minute)s?)\b/g, 'TIME')
    .replace(/ {3,}(?=[A-Z_]{6,}$)/gm, '   ')
    .replace(/[ \t]+$/gm, '');

/** What a person sees: the exit code, and what is printed but progress of images, networks and machines. */
const told = async (name: string, failure: Failure): Promise<string> => {
  const stack = new TestStack('failures', failure.env);
  const server = failure.takesPort === true ? await listen() : undefined;
  const port = String((server?.address() as AddressInfo | undefined)?.port ?? '');
  try {
    const { files = {} } = failure;
    const written = typeof files === 'string' ? { 'compose.yaml': files } : files;
    await stack.write(Object.fromEntries(Object.entries(written).map(([path, text]) => [path, text.replaceAll('PORT', port)])));
    const options = { cwd: stack.dir, env: stack.env };
    for (const line of failure.run.slice(0, -1)) {
      await hypr(line.split(' '), options);
    }
    const last = failure.run.at(-1) ?? '';
    const { code, stdout, stderr } = await hypr(last.split(' '), options);
    expect.soft([name, code, `${stdout}${stderr}`.includes('HYPR_INTERNAL')]).toEqual([name, failure.code ?? 1, false]);
    const words = [[stack.dir, 'FOLDER'], ...(port === '' ? [] : [[port, 'PORT'] as const])] as Array<readonly [string, string]>;
    const lines = steady(`${stdout}${stderr}`, words)
      .split('\n')
      .filter(
        (line) => line !== '' && !/^ (?:Image|Network|Volume|Container|Service|Template machine|[0-9a-f]{12}) |^#\d+ |^time=/.test(line),
      );
    return [`# ${name}`, `$ hypr ${last}`, ...lines, `exit ${code}`, ''].join('\n');
  } finally {
    server?.close();
    await stack.close();
  }
};

test('each of the likeliest failures, made for real, has the text of failures.txt; `vitest -u` writes it anew', async () => {
  expect(Object.keys(FAILURES).length).toBeGreaterThanOrEqual(40);
  const texts: string[] = [];
  for (const [name, failure] of Object.entries(FAILURES)) {
    texts.push(await told(name, failure));
  }
  await expect(texts.join('\n')).toMatchFileSnapshot('failures.txt');
}, 900_000);
