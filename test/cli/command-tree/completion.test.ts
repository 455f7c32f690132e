import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { completeWords } from '../../../cli/command-tree/complete.ts';
import { COMPLETION_SCRIPTS } from '../../../cli/command-tree/completion-scripts.ts';
import { rootCommand } from '../../../cli/command-tree/tree.ts';
import { fakeContext, fakeProject, run } from '../support/fake-context.ts';

const values = (...words: string[]): string[] => completeWords(rootCommand, words).candidates.map(({ value }) => value);
const names = (...words: string[]) => completeWords(rootCommand, words).names;

describe('what may stand in place of a word', () => {
  test('commands, those below them, and of them all only what is not hidden or refused', () => {
    expect(values('')).toEqual(expect.arrayContaining(['up', 'ps', 'compose', 'completion', 'why', 'help']));
    expect(values('')).not.toContain('__complete');
    expect(values('')).not.toContain('context');
    expect(values('network', '')).toContain('create');
    expect(values('compose', '')).toContain('up');
  });

  test('flags of the command and of all commands, after a dash', () => {
    expect(values('up', '-')).toEqual(expect.arrayContaining(['--detach', '--build', '--file', '--profile']));
  });

  test.each([
    [['logs', ''], ['service']],
    [['-f', 'x.yaml', 'logs', '-f', ''], ['service']],
    [['exec', ''], ['service']],
    [
      ['inspect', ''],
      ['replica', 'image', 'volume', 'network'],
    ],
    [['rmi', ''], ['image']],
    [['volume', 'rm', 'a', ''], ['volume']],
    [['network', 'rm', ''], ['network']],
    [['up', '--profile', ''], ['profile']],
    [['-p', ''], ['stack']],
    [['up', '--exit-code-from', ''], ['service']],
  ])('%j are names of %j', (words, kinds) => {
    expect(names(...words)).toEqual(kinds);
  });

  test('fixed words of a flag, also behind =', () => {
    expect(values('--progress', '')).toContain('plain');
    expect(values('up', '--progress=')).toContain('--progress=plain');
    expect(values('ps', '--status', '')).toContain('restarting');
  });

  test('files for flags and places that are paths, and for a program in the guest', () => {
    expect(completeWords(rootCommand, ['-f', '']).paths).toBe('files');
    expect(completeWords(rootCommand, ['--project-directory', '']).paths).toBe('folders');
    expect(completeWords(rootCommand, ['exec', 'web', 'ls', '-']).paths).toBe('files');
    expect(completeWords(rootCommand, ['exec', 'web', 'ls', '-']).candidates).toEqual([]);
  });

  test('the stack is that of the flags before', () => {
    expect(completeWords(rootCommand, ['-f', 'a.yaml', '--profile=x', 'logs', '']).flags).toEqual({ file: ['a.yaml'], profile: ['x'] });
  });
});

describe('hypr __complete', () => {
  const project = fakeProject({
    services: { web: {}, worker: { profiles: ['jobs'] } },
    disabledServices: { debug: { profiles: ['debug'] } },
  });

  test('names of services that begin so, those of profiles too, and nothing else of paths', async () => {
    const context = fakeContext({ project });
    expect(await run(context, '__complete -- logs w')).toBe(0);
    expect(context.stdout.text).toBe('web\t\nworker\t\n:none\n');
    const all = fakeContext({ project });
    await run(all, '__complete -- -f a.yaml up d');
    expect(all.stdout.text).toBe('debug\t\n:none\n');
    expect(all.loaded[0]).toMatchObject({ files: ['a.yaml'] });
  });

  test('profiles, stacks, volumes', async () => {
    const lines = async (line: string) => {
      const context = fakeContext({ project });
      await run(context, line);
      return context.stdout.text;
    };
    expect(await lines('__complete -- --profile j')).toBe('jobs\t\n:none\n');
    expect(await lines('__complete -- -p s')).toBe('shop\t\n:none\n');
  });

  test('where there is no Compose file, or a broken one, there are no names and no error', async () => {
    const context = fakeContext({ project: new HyprError('COMPOSE_INVALID', 'broken') });
    expect(await run(context, '__complete -- logs w')).toBe(0);
    expect([context.stdout.text, context.stderr.text]).toEqual([':none\n', '']);
  });

  test('what does not answer in two seconds has no names', async () => {
    const context = fakeContext({ project });
    Object.assign(context, { loadProject: () => new Promise(() => {}) });
    const begun = Date.now();
    expect(await run(context, '__complete -- logs w')).toBe(0);
    expect(context.stdout.text).toBe(':none\n');
    expect(Date.now() - begun).toBeLessThan(10_000);
  });

  test('a shell that there is no script for is refused with those that there are', async () => {
    const context = fakeContext();
    expect(await run(context, 'completion tcsh')).toBe(1);
    expect(context.stderr.text).toContain('bash, zsh, fish, powershell');
  });
});

describe('the script for bash', () => {
  let dir = '';
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'hypr-completion-'));
    await writeFile(join(dir, 'completion.bash'), COMPLETION_SCRIPTS.bash ?? '');
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  /** What bash would complete the line to, where `hypr __complete` answers with its own words and some others. */
  const complete = async (words: readonly string[], answer: string): Promise<string[]> => {
    const script = `
      hypr() { printf 'asked %s\\n' "\${*:3}" >&3; printf '%b' '${answer}'; }
      source "$1"
      shift
      COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
      _hypr 3>"$DIR/asked"
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = await promisify(execFile)('bash', ['-c', script, 'bash', join(dir, 'completion.bash'), ...words], {
      env: { ...process.env, DIR: dir },
      cwd: dir,
    });
    return stdout.split('\n').filter(Boolean);
  };

  test('takes what begins with the word, without its text', async () => {
    expect(await complete(['hypr', 'u'], 'up\\tStart\\nunpause\\tGo on\\nps\\tList\\n:none\\n')).toEqual(['up', 'unpause']);
  });

  test('adds paths where those may stand', async () => {
    expect(await complete(['hypr', '-f', 'comp'], ':files\\n')).toEqual(['completion.bash']);
  });

  test('a word that bash has cut at = or : is one word', async () => {
    expect(await complete(['hypr', 'up', '--progress', '=', 'p'], '--progress=plain\\t\\n:none\\n')).toEqual(['plain']);
  });
});
