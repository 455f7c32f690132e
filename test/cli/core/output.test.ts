import { describe, expect, it } from 'vitest';
import { foldText, warn } from '../../../cli/core/output.ts';
import { Capture } from '../support/fake-context.ts';

describe('text on a narrow terminal', () => {
  it('folds warnings at words for a terminal, and leaves them whole for a program', () => {
    const written = (isTTY: boolean): string => {
      const stream = Object.assign(new Capture(), { isTTY, columns: 30 });
      warn(stream, 'the attribute `version` is obsolete, remove it');
      return stream.text;
    };
    expect(written(true)).toBe('warning: the attribute\n  `version` is obsolete,\n  remove it\n');
    expect(written(false)).toBe('warning: the attribute `version` is obsolete, remove it\n');
  });

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
