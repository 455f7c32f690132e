import { expect, test } from 'vitest';
import { runConfig } from '../../../compose/index.ts';
import { projectFolder } from '../project-folder.ts';

/** Printed by docker compose 5.5. */
const EXPECTED = `    volumes:
      - bind:
          create_host_path: true
          selinux: Z
        source: data
        target: /a
        type: volume
        volume: {}
`;

test('an option of binds on a named volume is written as docker compose writes it without interpolation', async () => {
  const cwd = await projectFolder({ 'compose.yaml': 'services: {a: {image: x, volumes: ["data:/a:Z"]}}\nvolumes: {data: {}}\n' });
  const { stdout } = await runConfig({ cwd, env: {}, interpolate: false });
  expect(stdout).toContain(EXPECTED);
});
