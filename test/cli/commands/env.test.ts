import { expect, test } from 'vitest';
import { projectFolder } from '../../compose/project-folder.ts';
import { hypr } from '../../support/cli.ts';

test('hypr env says of each variable which file and line set it, and what that replaced', async () => {
  const cwd = await projectFolder({
    'compose.yaml': 'services:\n  web:\n    image: x\n    env_file: web.env\n    environment:\n      LEVEL: info\n      HOST: ${HOST}\n',
    'compose.override.yaml': 'services:\n  web:\n    environment:\n      LEVEL: debug\n',
    '.env': 'HOST=db\n',
    'web.env': 'PORT=80\nLEVEL=warn\n',
  });
  const { code, stdout } = await hypr(['env', 'web'], { cwd, env: { HOST: undefined } });
  expect(code).toBe(0);
  expect(stdout).toMatch(/^LEVEL=debug {2}# .*compose\.override\.yaml:4/m);
  expect(stdout).toMatch(/^HOST=db {2}# .*compose\.yaml:7/m);
  expect(stdout).toMatch(/^PORT=80 {2}# .*web\.env:1/m);
  const one = await hypr(['env', 'web', 'PORT'], { cwd });
  expect(one.stdout).toMatch(/^PORT=80 {2}# .*web\.env:1/);
  expect(one.stdout).not.toContain('HOST');
  const none = await hypr(['env', 'web', 'NOPE'], { cwd });
  expect([none.code, none.stderr]).toEqual([1, expect.stringContaining('web has no variable NOPE')]);
});
