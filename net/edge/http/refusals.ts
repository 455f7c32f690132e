import type { RawHeaders } from '../../http/end-to-end.ts';
import { headerOf } from './headers.ts';

/** A dev server that refused a host, and the setting that makes it accept. */
export interface Refusal {
  readonly program: string;
  readonly setting: string;
}

/**
 * Pages with which dev servers refuse a Host that they do not know, by status and a text in them (from their sources: vite
 * `hostValidationMiddleware`, webpack-dev-server `Server.js`, Rails `ActionDispatch::HostAuthorization`, Django `HttpRequest.get_host`).
 * Angular's server is Vite and says so with its own file's name, or webpack's.
 */
const REFUSALS: ReadonlyArray<{
  status: readonly number[];
  text: RegExp;
  program: string;
  setting: (host: string, suffix: string) => string;
}> = [
  {
    status: [403],
    text: /Blocked request\. This host [\s\S]{0,1000}angular\.json/,
    program: 'Angular',
    setting: (_, suffix) => `"allowedHosts": ["${suffix}"] in angular.json, at serve.options`,
  },
  {
    status: [403],
    text: /Blocked request\. This host [^\n]{0,300} is not allowed/,
    program: 'Vite',
    setting: (_, suffix) => `server: { allowedHosts: ['${suffix}'] } in vite.config`,
  },
  {
    status: [200, 403],
    text: /^\s*Invalid Host(?:\/Origin)? header\s*$/,
    program: 'webpack-dev-server',
    setting: (_, suffix) => `devServer: { allowedHosts: ['${suffix}'] } in webpack.config.js (in Angular: "allowedHosts" in angular.json)`,
  },
  {
    status: [403],
    text: /Blocked hosts?: /,
    program: 'Rails',
    setting: (_, suffix) => `config.hosts << "${suffix}" in config/environments/development.rb`,
  },
  {
    status: [400],
    text: /DisallowedHost|Invalid HTTP_HOST header/,
    program: 'Django',
    setting: (_, suffix) => `ALLOWED_HOSTS = ["${suffix}"] in settings.py`,
  },
];

/** Whether the head of an answer may belong to such a page: a short text, not compressed. */
export const mayBeRefusal = (status: number, headers: RawHeaders): boolean => {
  if (status !== 403 && status !== 400 && (status !== 200 || headerOf(headers, 'content-length') !== '19')) {
    return false;
  }
  const type = headerOf(headers, 'content-type');
  return headerOf(headers, 'content-encoding') === undefined && (type === undefined || type.startsWith('text/'));
};

/** What refused, and the setting that accepts all names of the project; undefined for any other page. `host` is without port. */
export const findRefusal = (status: number, text: string, host: string): Refusal | undefined => {
  const found = REFUSALS.find((each) => each.status.includes(status) && each.text.test(text));
  const suffix = host.slice(host.indexOf('.'));
  return found === undefined ? undefined : { program: found.program, setting: found.setting(host, suffix) };
};
