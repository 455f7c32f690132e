/** The index page: no framework, nothing from elsewhere. What guests wrote is only ever text (`textContent`). */
export const INDEX_HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>hypr</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/style.css">
<script type="module" src="/app.js"></script>
</head>
<body>
<a class="skip" href="#stacks">Skip to the stacks</a>
<header>
<h1>hypr</h1>
<p id="summary" role="status">Connecting…</p>
<label class="find"><span class="hidden">Find a service</span><input id="find" type="search" placeholder="Find a service" autocomplete="off" spellcheck="false" aria-keyshortcuts="/"><kbd aria-hidden="true">/</kbd></label>
</header>
<main id="stacks" tabindex="-1"><noscript><p>This page needs JavaScript; <code>hypr ls</code> and <code>hypr ps</code> show the same.</p></noscript></main>
</body>
</html>
`;

export const INDEX_CSS = `
:root {
  color-scheme: light dark;
  --page: light-dark(#f5f6f8, #111317); --card: light-dark(#fff, #1a1d23); --line: light-dark(#dfe3e8, #2b3038);
  --text: light-dark(#1a1f26, #e7e9ec); --dim: light-dark(#5a6470, #98a2ae); --link: light-dark(#0a58ca, #79b0ff);
  --good: light-dark(#1a7f37, #3fb950); --busy: light-dark(#9a6700, #d29922); --bad: light-dark(#cf222e, #f85149);
  font: clamp(15px, 0.55vw + 11px, 24px)/1.5 system-ui, sans-serif;
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); }
header { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem 1rem; padding: 1rem clamp(.75rem, 3vw, 3rem); border-bottom: 1px solid var(--line); background: var(--card); position: sticky; top: 0; z-index: 1; }
h1 { font-size: 1.25rem; margin: 0; letter-spacing: -.02em; }
#summary { margin: 0; color: var(--dim); flex: 100 1 12rem; }
.find { position: relative; flex: 1 1 12rem; max-width: 28rem; }
.find input { width: 100%; font: inherit; padding: .35rem 2rem .35rem .7rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--page); color: inherit; }
.find kbd { position: absolute; right: .6rem; top: 50%; transform: translateY(-50%); font: .8em ui-monospace, monospace; color: var(--dim); border: 1px solid var(--line); border-radius: .25rem; padding: 0 .35rem; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: 1rem; padding: 1rem clamp(.75rem, 3vw, 3rem) 3rem; align-items: start; outline: none; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; overflow: hidden; min-width: 0; }
h2 { font-size: 1.05rem; margin: 0; padding: .75rem 1rem .5rem; overflow-wrap: anywhere; }
ul { list-style: none; margin: 0; padding: 0; }
li { display: grid; grid-template-columns: auto minmax(0, 1fr) auto; gap: 0 .6rem; align-items: baseline; padding: .45rem 1rem; border-top: 1px solid var(--line); }
.dot { width: .6em; height: .6em; border-radius: 50%; background: var(--dim); align-self: center; }
.good { background: var(--good); } .busy { background: var(--busy); } .bad { background: var(--bad); }
.name { font-weight: 600; overflow-wrap: anywhere; }
.state { color: var(--dim); font-size: .85em; white-space: nowrap; }
.links { grid-column: 2 / -1; display: flex; flex-wrap: wrap; gap: 0 .9rem; font-size: .92em; min-width: 0; }
a { color: var(--link); text-decoration: none; overflow-wrap: anywhere; }
a:hover { text-decoration: underline; }
a:focus-visible, input:focus-visible, summary:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: .25rem; }
.ports, .note { grid-column: 2 / -1; color: var(--dim); font-size: .85em; overflow-wrap: anywhere; }
.note { color: var(--busy); }
details { border-top: 1px solid var(--line); }
summary { padding: .45rem 1rem; color: var(--dim); font-size: .85em; cursor: pointer; }
pre { margin: 0; padding: 0 1rem .75rem; font: .8em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
pre span { color: var(--dim); }
.empty { grid-column: 1 / -1; color: var(--dim); text-align: center; padding: 3rem 1rem; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.skip { position: absolute; left: -99rem; } .skip:focus { left: 1rem; top: 1rem; z-index: 2; background: var(--card); padding: .5rem; }
[hidden] { display: none !important; }
`;

export const INDEX_JS = `
const main = document.getElementById('stacks');
const find = document.getElementById('find');
const summary = document.getElementById('summary');
let state = { stacks: [], domain: 'hypr' };
const closed = new Set();

const make = (tag, props = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
};

/** The address of a name, with the scheme and port by which this page was reached. */
const urlOf = ({ host, full, https }, port) => {
  const name = port === undefined ? host : port + '.' + host;
  const local = location.hostname !== state.domain;
  if (full) {
    return (https && !local ? 'https://' : 'http://') + host + (local && location.port ? ':' + location.port : '') + '/';
  }
  return local
    ? location.protocol + '//' + name + '.localhost' + (location.port ? ':' + location.port : '') + '/'
    : (https ? 'https://' : 'http://') + name + '.' + state.domain + '/';
};

const tone = ({ state, health }) =>
  health === 'unhealthy' || state === 'dead' ? 'bad'
  : state === 'running' ? (health === 'starting' ? 'busy' : 'good')
  : state === 'exited' ? '' : 'busy';

const link = (url, text) => make('a', { href: url, textContent: text ?? url.replace(/^https?:../, '').replace(/.$/, '') });

const showService = (service) => {
  const links = make('div', { className: 'links' });
  if (service.web) links.append(...service.names.map((name) => link(urlOf(name))));
  const others = service.ports.filter((each) => each.protocol === 'http' && each.port !== service.web);
  links.append(...others.map((each) => link(urlOf(service.names[0], each.port), 'port ' + each.port)));
  const plain = service.ports.filter((each) => each.protocol !== 'http' && each.port !== service.web).map((each) => each.port);
  const item = make('li', {},
    make('span', { className: 'dot ' + tone(service), ariaHidden: 'true' }),
    make('span', { className: 'name', textContent: service.name }),
    make('span', { className: 'state', textContent: service.health ? service.state + ', ' + service.health : service.state }));
  if (links.childElementCount) item.append(links);
  if (plain.length) item.append(make('div', { className: 'ports', textContent: (service.web ? 'also listens on ' : 'listens on ') + plain.join(', ') }));
  if (service.note) item.append(make('div', { className: 'note', textContent: service.note }));
  return item;
};

const showStack = (stack) => {
  const section = make('section', {}, make('h2', { textContent: stack.name }), make('ul', {}, ...stack.services.map(showService)));
  section.setAttribute('aria-label', stack.name);
  if (stack.logs.length) {
    const lines = make('pre');
    for (const { replica, line } of stack.logs) lines.append(make('span', { textContent: replica + ' ' }), line + '\\n');
    const details = make('details', { open: !closed.has(stack.name) }, make('summary', { textContent: 'Recent lines' }), lines);
    details.addEventListener('toggle', () => (details.open ? closed.delete(stack.name) : closed.add(stack.name)));
    section.append(details);
  }
  return section;
};

const show = () => {
  const wanted = find.value.trim().toLowerCase();
  const stacks = state.stacks
    .map((stack) => ({ ...stack, services: stack.services.filter((each) => (stack.name + ' ' + each.name).toLowerCase().includes(wanted)) }))
    .filter((stack) => stack.services.length);
  const focused = document.activeElement?.href;
  main.replaceChildren(...stacks.map(showStack));
  if (!stacks.length) {
    main.append(make('p', { className: 'empty', textContent: state.stacks.length ? 'No service is called that.' : 'No stack runs. Start one with: hypr up' }));
  }
  if (focused) [...main.querySelectorAll('a')].find((each) => each.href === focused)?.focus({ preventScroll: true });
  const services = state.stacks.flatMap((stack) => stack.services);
  const running = services.filter((each) => each.state === 'running').length;
  summary.textContent = state.stacks.length + (state.stacks.length === 1 ? ' stack, ' : ' stacks, ') + running + ' of ' + services.length + ' services running';
};

const events = new EventSource('/events');
events.addEventListener('state', (event) => {
  state = JSON.parse(event.data);
  show();
});
events.addEventListener('error', () => {
  summary.textContent = 'Connecting again…';
});
find.addEventListener('input', show);
document.addEventListener('keydown', (event) => {
  if (event.key === '/' && document.activeElement !== find && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    find.focus();
  } else if (event.key === 'Escape' && document.activeElement === find) {
    find.value = '';
    show();
    find.blur();
  } else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
    const links = [...main.querySelectorAll('.links a')];
    const at = links.indexOf(document.activeElement);
    const next = links[at === -1 ? 0 : at + (event.key === 'ArrowDown' ? 1 : -1)];
    if (next && (at !== -1 || document.activeElement === find || document.activeElement === document.body)) {
      event.preventDefault();
      next.focus();
    }
  }
});
`;
