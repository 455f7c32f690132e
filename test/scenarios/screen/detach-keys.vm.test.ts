import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { hypr, hyprBin, mustHypr } from '../../support/cli.ts';
import { missingTmux, Tmux } from '../../support/clients/tmux.ts';
import { removeAtExit } from '../../support/left-over.ts';
import { needs } from '../../support/needs.ts';

const NAME = 'detachable';

needs(missingTmux()).describe('attached to a shell in a machine, on a terminal', () => {
  const env: NodeJS.ProcessEnv = { HYPR_HOME: inject('hyprHome'), HYPR_REGISTRY_MIRRORS: inject('mirrors') };
  const cwd = removeAtExit(mkdtempSync(join(tmpdir(), 'hypr-keys-')));
  let terminal: Tmux;

  beforeAll(async () => {
    terminal = await Tmux.open({ columns: 100, rows: 20, cwd, env });
    await mustHypr(['run', '-d', '-it', '--name', NAME, 'busybox', 'sh'], { env, cwd });
  });
  afterAll(async () => {
    await terminal.close();
    await hypr(['rm', '-f', NAME], { env, cwd });
  });

  const isRunning = async (): Promise<string> => (await mustHypr(['inspect', '-f', '{{.State.Running}}', NAME], { env, cwd })).trim();

  it.each([
    ['attach', `attach --detach-keys ctrl-x,d ${NAME}`, ['C-x', 'd']],
    ['start -ai', `start -ai --detach-keys ctrl-e ${NAME}`, ['C-e']],
    ['attach with the keys that are always there', `attach ${NAME}`, ['C-p', 'C-q']],
  ])('%s: the keys leave it, it goes on, and the terminal is the shell’s again', async (command, line, keys) => {
    if (command === 'start -ai') {
      await mustHypr(['stop', '-t', '1', NAME], { env, cwd });
    }
    await terminal.line(`clear; ${hyprBin} ${line}; echo "left with $?"`);
    // The machine's shell has a prompt of its own, which the host's has not; one that was there before the attachment comes again.
    await terminal.key('Enter');
    await terminal.until('/ #');
    await terminal.line('echo "in $((40 + 2))"');
    await terminal.until('in 42');
    await terminal.key(...keys);
    await terminal.until('left with 0');
    expect(await isRunning()).toBe('true');
    await terminal.line('echo "here $((20 + 1))"');
    await terminal.until('here 21');
  });

  it.each([
    { line: ['attach', NAME], code: 1 },
    { line: ['start', '-ai', NAME], code: 1 },
    { line: ['run', '-it', 'busybox'], code: 125 },
  ])('keys that are none are refused before anything is done: $line', async ({ line: [verb = '', ...rest], code }) => {
    const answer = await hypr([verb, '--detach-keys', 'ctrl-', ...rest], { env, cwd, timeout: 20_000 });
    expect([answer.code, answer.stderr]).toEqual([code, expect.stringContaining('--detach-keys does not know "ctrl-"')]);
  });
});
