import { describe, expect, test } from 'vitest';
import { watchRules } from '../../../engine/client/watch-rules.ts';
import { projectOf } from '../support/project.ts';

const rulesOf = (watch: object[]) => watchRules(projectOf({ web: { develop: { watch } }, db: {} }), []);

describe('develop.watch', () => {
  test('actions, targets and hooks', () => {
    const [sync, hook] = rulesOf([
      { path: '/src', action: 'sync', target: '/app', initial_sync: true },
      { path: '/conf', action: 'sync+exec', target: '/etc', exec: { command: ['reload'], user: 'app', environment: { A: '1' } } },
    ]);
    expect(sync).toMatchObject({ service: 'web', path: '/src', action: 'sync', target: '/app', initialSync: true, exec: undefined });
    expect(hook?.exec).toEqual({ command: ['reload'], user: 'app', workdir: undefined, environment: { A: '1' } });
  });

  test('x-initialSync is initial_sync by its old name', () => {
    const rule = { path: '/src', action: 'sync', target: '/app' };
    const [old, now, none] = rulesOf([{ ...rule, 'x-initialSync': true }, { ...rule, initial_sync: true }, rule]);
    expect([old, now, none].map((each) => [each?.initialSync, each?.usesOldName])).toEqual([
      [true, true],
      [true, false],
      [false, false],
    ]);
  });

  test('what is ignored, what is included, what never counts', () => {
    const [rule] = rulesOf([{ path: '/src', action: 'sync', target: '/app', ignore: ['node_modules/', '*.log'] }]);
    const ignored = ['/src/node_modules/a/b.js', '/src/x.log', '/src/.git/HEAD', '/src/a/.b.swp', '/src/a.js~'];
    expect(ignored.map((path) => rule?.ignores(path))).toEqual(ignored.map(() => true));
    expect(['/src', '/src/a.js', '/src/log/a'].map((path) => rule?.ignores(path))).toEqual([false, false, false]);
    const [only] = rulesOf([{ path: '/src', action: 'rebuild', include: ['*.ts'] }]);
    expect([only?.ignores('/src/a.ts'), only?.ignores('/src/a.js')]).toEqual([false, true]);
  });

  test('only the named services', () => {
    const project = projectOf({ web: { develop: { watch: [{ path: '/src', action: 'restart' }] } }, db: {} });
    expect(watchRules(project, ['db'])).toEqual([]);
    expect(watchRules(project, ['web'])).toHaveLength(1);
  });
});
