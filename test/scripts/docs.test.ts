import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { rootCommand } from '../../cli/command-tree/tree.ts';
import { root } from '../support/cli.ts';

const DOCS = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'docs'];
const TOP = 'base|bin|builder|cli|compose|docs|engine|fixtures|guest|net|scripts|test|vmm';
const PATH = new RegExp(`(?<![\\w./~:-])(?:${TOP})/[\\w./-]*\\.(?:ts|tsx|c|h|mjs|md|go|json|proto|yaml|txt)\\b`, 'g');

const pages = execFileSync('git', ['ls-files', '-co', '--exclude-standard', ...DOCS], { cwd: root })
  .toString()
  .split('\n')
  .filter((page) => page.endsWith('.md') && existsSync(join(root, page)));

/** Without code, in which brackets are no links. */
const linksOf = (page: string): string[] => {
  const text = readFileSync(join(root, page), 'utf8').replace(/```[\s\S]*?```|^ {4}.*$|`[^`\n]*`/gm, '');
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link).filter((link) => !/^(?:https?|mailto):/.test(link));
};

/** As GitHub makes them. */
const headingsOf = (path: string): string[] =>
  [...readFileSync(path, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .trim()
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-'),
  );

const leads = (page: string, link: string): boolean => {
  const [path = '', anchor] = link.split('#');
  const file = path === '' ? join(root, page) : join(root, dirname(page), path);
  return existsSync(file) && (anchor === undefined || headingsOf(file).includes(anchor));
};

describe('the documentation', () => {
  it.each(pages)('%s › names only files that exist', (page) => {
    const named = readFileSync(join(root, page), 'utf8').match(PATH) ?? [];
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  it.each(pages)('%s › links only to pages, files and headings that there are', (page) => {
    const dead = linksOf(page).filter((link) => !leads(page, link));
    expect(dead).toEqual([]);
  });

  it('README.md › names every command in its table', () => {
    const text = readFileSync(join(root, 'README.md'), 'utf8');
    const table = new Set(text.slice(text.indexOf('## Supported')).match(/[a-z][a-z-]*/g));
    const names = (rootCommand.commands ?? []).filter(({ hidden }) => hidden !== true).map(({ name }) => name);
    expect(
      names.filter((name) => !table.has(name)),
      'in the row "Commands", or that of its subject',
    ).toEqual([]);
  });

  it('docs/dashboard.md › names only tests that there are', () => {
    const text = readFileSync(join(root, 'docs/dashboard.md'), 'utf8');
    const named = [...text.matchAll(/`(test\/\S+)`: "([^"]+)"/g)];
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter(([, path = '', name = '']) => !readFileSync(join(root, path), 'utf8').includes(name))).toEqual([]);
  });

  it('walks through at most ten files each', () => {
    const text = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
    const walks = text
      .slice(text.indexOf('## Four walks'), text.indexOf('## The API'))
      .split(/\n\n\*\*/)
      .slice(1);
    expect(walks).toHaveLength(4);
    for (const walk of walks) {
      const files = new Set(walk.match(PATH));
      expect(files.size).toBeGreaterThanOrEqual(7);
      expect(files.size).toBeLessThanOrEqual(10);
    }
  });
});
