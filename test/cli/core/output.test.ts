import { describe, expect, it } from 'vitest';
import { foldText } from '../../../cli/core/output.ts';

describe('text on a narrow terminal', () => {
  it('is folded at words, and a second column stays one', () => {
    expect(foldText('  up       Create and start services, each in a machine of its own\n', 40)).toBe(
      ['  up       Create and start services,', '           each in a machine of its own', ''].join('\n'),
    );
    expect(foldText('Help on a command: hypr COMMAND --help', 30)).toBe('Help on a command: hypr\n  COMMAND --help');
  });

  it('has a column of its own below the word where both do not fit', () => {
    expect(foldText('      --project-directory DIR  Folder that relative paths start from', 40)).toBe(
      ['      --project-directory DIR', '        Folder that relative paths start', '        from'].join('\n'),
    );
  });

  it('is left as it is where it fits, and a word that is wider has a line of its own', () => {
    expect(foldText('  short  and fits', 40)).toBe('  short  and fits');
    expect(foldText(`see ${'x'.repeat(30)} there`, 20)).toBe(['see', `  ${'x'.repeat(30)}`, '  there'].join('\n'));
  });
});
