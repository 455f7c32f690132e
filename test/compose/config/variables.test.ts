import { expect, test } from 'vitest';
import { runConfig } from '../../../compose/index.ts';
import { projectFolder } from '../project-folder.ts';

test('config --variables --format yaml: the names of a Go structure, text that is no plain YAML in quotes', async () => {
  const cwd = await projectFolder({
    'compose.yaml': 'services:\n  a:\n    image: x:${TAG:-1.2}\n    labels: ["l=${WHO:?who}", "m=${M:+yes}"]\n',
  });
  const { stdout } = await runConfig({ cwd, env: {}, listVariables: true, format: 'yaml' });
  expect(stdout).toBe(
    [
      'M:',
      '    name: M',
      '    defaultvalue: ""',
      "    presencevalue: 'yes'",
      '    required: false',
      'TAG:',
      '    name: TAG',
      '    defaultvalue: "1.2"',
      '    presencevalue: ""',
      '    required: false',
      'WHO:',
      '    name: WHO',
      '    defaultvalue: ""',
      '    presencevalue: ""',
      '    required: true',
      '',
    ].join('\n'),
  );
});
