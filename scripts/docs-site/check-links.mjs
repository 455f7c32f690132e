import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { root } from '../own-node.mjs';

const pagesOf = (folder) => readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.html'));

const decode = (text) => text.replaceAll('&amp;', '&').replaceAll('&quot;', '"').replaceAll('&#39;', "'");

/** Where a page's links go and what can be linked to in it. */
const readPage = (path) => {
  const text = readFileSync(path, 'utf8');
  const all = (pattern) => [...text.matchAll(pattern)].map(([, value]) => decode(value));
  return { text, links: all(/ (?:href|src)="([^"]*)"/g), ids: new Set(all(/ id="([^"]*)"/g)) };
};

/**
 * Faults of a built site, a line each: links to a page, file or heading that is not there, and commands and errors that no page
 * has. Nothing is fetched: addresses of the web are only read as such.
 */
export const checkSite = async (site) => {
  const pages = new Map(pagesOf(site).map((name) => [join(site, name), readPage(join(site, name))]));
  const dead = [...pages].flatMap(([path, { links }]) =>
    links.filter((link) => !leads(pages, path, link, site)).map((link) => `${relative(site, path)}: ${link} leads nowhere`),
  );
  const { rootCommand } = await import('../../cli/command-tree/tree.ts');
  const { ERRORS } = await import('../../base/error-catalogue.ts');
  const has = (page, id) => pages.get(join(site, page))?.ids.has(id) === true;
  const commands = rootCommand.commands.filter(({ hidden, refused, commands }) => !hidden && !refused && !commands);
  return [
    ...dead,
    ...commands.filter(({ name }) => !has('docs/commands.html', `hypr-${name}`)).map(({ name }) => `no page has the command ${name}`),
    ...Object.keys(ERRORS)
      .filter((code) => !pages.get(join(site, 'docs/errors.html'))?.text.includes(code))
      .map((code) => `no page has the error ${code}`),
  ];
};

const leads = (pages, from, link, site) => {
  if (/^(?:https?|mailto|data):/.test(link)) {
    return true;
  }
  const [path, anchor = ''] = link.split('#');
  const to = path === '' ? from : resolve(dirname(from), decodeURIComponent(path));
  if (pages.has(to)) {
    return anchor === '' || pages.get(to).ids.has(decodeURIComponent(anchor));
  }
  // A file of the repository that is no page.
  const file = join(root, relative(site, to));
  return (existsSync(to) && statSync(to).isFile()) || (!relative(site, to).startsWith('..') && existsSync(file));
};
