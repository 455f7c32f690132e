import { createHash } from 'node:crypto';
import type { ErrorCode } from '../../../base/errors.ts';
import { sanitiseName } from '../../../base/sanitise.ts';
import { headerOf } from '../http/headers.ts';
import type { Exchange } from '../http/types.ts';

/** What the edge says in place of a service. */
export interface EdgeAnswer {
  readonly status: number;
  readonly code: ErrorCode;
  readonly title: string;
  /** Sentences for the page; names in them are escaped here. */
  readonly lines: readonly string[];
  /** What to type or to set, shown as code. */
  readonly fix?: string;
  /** The page reloads by itself when the service answers: it listens to events of the path WAIT_PATH. */
  readonly waits?: boolean;
}

/** On every name, besides the service's own paths: events for pages that wait for it. */
export const WAIT_PATH = '/.well-known/hypr/wait';
/** Carries the error's code in answers that the edge itself gives, for programs. */
export const ERROR_HEADER = 'x-hypr-error';

/** Answers a page to browsers, two lines of text to others. The request's body is not read. */
export const sendAnswer = (exchange: Exchange, answer: EdgeAnswer): void => {
  const isPage = headerOf(exchange.headers, 'accept')?.includes('text/html') ?? false;
  const body = Buffer.from(isPage ? pageOf(answer) : textOf(answer));
  const headers = [
    ...['content-type', isPage ? 'text/html; charset=utf-8' : 'text/plain; charset=utf-8'],
    ...['content-length', String(body.length), 'cache-control', 'no-store', ERROR_HEADER, answer.code],
    ...['content-security-policy', PAGE_POLICY, 'x-content-type-options', 'nosniff', 'referrer-policy', 'no-referrer'],
    ...(answer.status === 503 ? ['retry-after', '1'] : []),
  ];
  exchange.body?.resume();
  exchange.reply.head(answer.status, '', headers);
  if (exchange.method !== 'HEAD') {
    exchange.reply.write(body);
  }
  exchange.reply.end();
};

const textOf = ({ code, title, lines, fix }: EdgeAnswer): string =>
  `${[`${sanitiseName(title)} (${code})`, ...lines.map(sanitiseName), ...(fix === undefined ? [] : [`  ${sanitiseName(fix)}`])].join('\n')}\n`;

/** For text and attributes of HTML. */
const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (each) => `&#${each.charCodeAt(0)};`);

const pageOf = ({ code, title, lines, fix, waits, status }: EdgeAnswer): string => {
  const paragraphs = lines.map((line) => `<p>${escapeHtml(sanitiseName(line))}</p>`).join('');
  const shown = fix === undefined ? '' : `<pre>${escapeHtml(sanitiseName(fix))}</pre>`;
  const waiting =
    waits === true ? `<p class="wait" role="status">This page reloads when it answers.</p><script>${WAIT_SCRIPT}</script>` : '';
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<title>${escapeHtml(sanitiseName(title))}</title><style>${STYLE}</style>${waits === true ? '<noscript><meta http-equiv="refresh" content="2"></noscript>' : ''}
<main><h1>${escapeHtml(sanitiseName(title))}</h1>${paragraphs}${shown}${waiting}<footer>${status} · ${code} · hypr</footer></main></html>`;
};

const WAIT_SCRIPT = `new EventSource('${WAIT_PATH}').addEventListener('ready',()=>location.reload())`;
const STYLE =
  ':root{color-scheme:light dark}body{font:16px/1.55 system-ui,sans-serif;margin:0;display:grid;min-height:100vh;place-items:center;background:light-dark(#f6f7f9,#14161a);color:light-dark(#1b1f24,#e6e8eb)}main{box-sizing:border-box;max-width:42rem;width:100%;padding:2rem}h1{font-size:1.5rem;line-height:1.25;overflow-wrap:anywhere}p{overflow-wrap:anywhere}pre{padding:.75rem 1rem;border-radius:.5rem;background:light-dark(#e8ebef,#22262d);white-space:pre-wrap;overflow-wrap:anywhere}footer{margin-top:2rem;font-size:.8rem;color:light-dark(#5b6570,#98a2ad)}.wait{color:light-dark(#5b6570,#98a2ad)}.wait::before{content:"";display:inline-block;width:.6em;height:.6em;margin-right:.6em;border-radius:50%;background:#2f81f7;animation:p 1.2s ease-in-out infinite alternate}@keyframes p{to{opacity:.2}}@media(prefers-reduced-motion:reduce){.wait::before{animation:none}}';

/** The hash that a Content-Security-Policy names for a text inside the page. */
const policyHash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

const PAGE_POLICY = `default-src 'none'; style-src ${policyHash(STYLE)}; script-src ${policyHash(WAIT_SCRIPT)}; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'`;
