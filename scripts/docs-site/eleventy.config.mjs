import anchors from 'markdown-it-anchor';

/** As GitHub makes them, where the same pages are read. */
const slug = (text) =>
  text
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');

/** A page of the repository → its address in the site; what is no page stays. */
const siteLink = (href) =>
  /^[a-z]+:|^#/.test(href) ? href : href.replace(/(^|\/)README\.md(?=#|$)/, '$1index.html').replace(/\.md(?=#|$)/, '.html');

const titleOf = (content) => /^# (.*)$/m.exec(content ?? '')?.[1] ?? 'hypr';

export default (config) => {
  config.amendLibrary('md', (library) => {
    library.set({ html: true }).use(anchors, { slugify: slug, tabIndex: false });
    const render = library.renderer.rules.link_open ?? ((tokens, at, options, _, self) => self.renderToken(tokens, at, options));
    library.renderer.rules.link_open = (tokens, at, ...rest) => {
      tokens[at].attrSet('href', siteLink(tokens[at].attrGet('href') ?? ''));
      return render(tokens, at, ...rest);
    };
  });
  // Pages have braces of Compose, Go and shells, and none of a template language.
  config.addGlobalData('layout', 'layout.html');
  config.addGlobalData('eleventyComputed', {
    permalink: ({ page }) => `${page.filePathStem.replace(/\/README$/, '/index')}.html`,
    title: ({ page }) => titleOf(page.rawInput),
    up: ({ page }) => '../'.repeat(page.filePathStem.split('/').length - 2),
  });
  config.addPassthroughCopy('docs/screens');
  config.addPassthroughCopy('LICENSE');
  return { dir: { input: '.', output: '../site' }, markdownTemplateEngine: false, htmlTemplateEngine: 'liquid', templateFormats: ['md'] };
};
