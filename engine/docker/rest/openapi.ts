import { VERSION } from '../../model/version.ts';

export interface Operation {
  /** `METHOD /path/{name}`. */
  readonly route: string;
  readonly summary: string;
  /** The route of docker's Engine API that answers it; its own where there is none. */
  readonly as?: string;
  /** Members of its body, with an example of each. */
  readonly body?: Readonly<Record<string, unknown>>;
}

const verbs = ['start', 'stop', 'restart', 'kill', 'pause', 'unpause'].map(
  (verb): Operation => ({ route: `POST /machines/{id}/${verb}`, summary: `${verb} a machine`, as: `POST /containers/{id}/${verb}` }),
);

const MACHINE = {
  ...{ name: 'web', image: 'nginx', command: ['nginx', '-g', 'daemon off;'], env: { KEY: 'value' }, vcpu_count: 2, mem_size_mib: 512 },
  ...{ ports: ['8080:80'], volumes: ['data:/data'], labels: { app: 'web' }, network: 'default', workdir: '/', user: 'app', start: true },
};

/** Everything that the JSON API has; docs/docker-api.md has it in words. */
export const OPERATIONS: readonly Operation[] = [
  { route: 'GET /machines', summary: 'Machines of all stacks' },
  { route: 'POST /machines', summary: 'Make a machine of an image and start it', body: MACHINE },
  { route: 'GET /machines/{id}', summary: 'A machine, by its name, its id or the beginning of that' },
  { route: 'DELETE /machines/{id}', summary: 'Remove a machine; force=1 also one that runs', as: 'DELETE /containers/{id}' },
  ...verbs,
  { route: 'POST /machines/{id}/wait', summary: 'Wait for its end', as: 'POST /containers/{id}/wait' },
  { route: 'POST /machines/{id}/rename', summary: 'Give it another name (name=)', as: 'POST /containers/{id}/rename' },
  { route: 'GET /machines/{id}/inspect', summary: 'Everything known of it, as docker inspect', as: 'GET /containers/{id}/json' },
  { route: 'GET /machines/{id}/logs', summary: 'What it wrote, as text; follow=1, tail=N, since=TIME' },
  { route: 'GET /machines/{id}/stats', summary: 'What it uses; stream=0 once', as: 'GET /containers/{id}/stats' },
  {
    route: 'POST /machines/{id}/exec',
    summary: 'Run a program in it and give its exit code and output',
    body: { command: ['ls', '/'], env: ['KEY=value'], workdir: '/', user: 'root', input: '' },
  },
  {
    route: 'GET /machines/{id}/exec',
    summary:
      'Run a program by a WebSocket: command=TEXT or arg=WORD…, tty=1, w=, h=, env=, workdir=, user=; it ends with the reason "exit CODE"',
  },
  {
    route: 'GET /machines/{id}/attach',
    summary: 'Its output and input by a WebSocket: stream=1, stdout=1, stderr=1, stdin=1, logs=1',
    as: 'GET /containers/{id}/attach/ws',
  },
  { route: 'GET /stacks', summary: 'All stacks' },
  {
    route: 'POST /stacks',
    summary:
      'Bring a stack up: the text of a Compose file, or those of a directory; answered by lines of JSON, the last one is finished or error',
    body: {
      name: 'shop',
      compose: 'services: {web: {image: nginx}}',
      directory: '/home/me/shop',
      env: { TAG: '1' },
      services: [],
      wait: true,
    },
  },
  { route: 'GET /stacks/{name}', summary: 'A stack and its machines' },
  { route: 'GET /stacks/{name}/logs', summary: 'What its machines wrote, as lines of JSON; service=NAME, follow=1, tail=N, since=TIME' },
  ...['start', 'stop', 'restart', 'pause', 'unpause'].map(
    (verb): Operation => ({ route: `POST /stacks/{name}/${verb}`, summary: `${verb} all machines of a stack` }),
  ),
  { route: 'DELETE /stacks/{name}', summary: 'Take a stack down; volumes=1 also its volumes' },
  { route: 'GET /images', summary: 'Images of the store', as: 'GET /images/json' },
  { route: 'POST /images/pull', summary: 'Pull an image (fromImage=, tag=)', as: 'POST /images/create' },
  { route: 'POST /images/build', summary: 'Build an image of a context as a tar (t=NAME, dockerfile=PATH)', as: 'POST /build' },
  { route: 'GET /images/{name...}/history', summary: 'The steps that made an image', as: 'GET /images/{name...}/history' },
  { route: 'GET /images/{name...}', summary: 'An image', as: 'GET /images/{name...}/json' },
  { route: 'DELETE /images/{name...}', summary: 'Remove an image', as: 'DELETE /images/{name...}' },
  { route: 'GET /networks', summary: 'Networks', as: 'GET /networks' },
  { route: 'POST /networks', summary: 'Make a network', as: 'POST /networks/create', body: { Name: 'back', Internal: false } },
  { route: 'GET /networks/{id}', summary: 'A network', as: 'GET /networks/{id}' },
  { route: 'DELETE /networks/{id}', summary: 'Remove a network', as: 'DELETE /networks/{id}' },
  { route: 'GET /volumes', summary: 'Volumes', as: 'GET /volumes' },
  { route: 'POST /volumes', summary: 'Make a volume', as: 'POST /volumes/create', body: { Name: 'data', Labels: {} } },
  { route: 'GET /volumes/{name}', summary: 'A volume', as: 'GET /volumes/{name}' },
  { route: 'DELETE /volumes/{name}', summary: 'Remove a volume', as: 'DELETE /volumes/{name}' },
  { route: 'POST /volumes/prune', summary: 'Remove volumes that nobody has', as: 'POST /volumes/prune' },
  { route: 'GET /system/health', summary: 'Whether it answers', as: 'GET /_ping' },
  { route: 'GET /system/info', summary: 'This host', as: 'GET /info' },
  { route: 'GET /system/version', summary: 'Versions', as: 'GET /version' },
  { route: 'GET /system/df', summary: 'What takes space', as: 'GET /system/df' },
  { route: 'GET /settings', summary: 'The settings of this user' },
  { route: 'PATCH /settings', summary: 'Change some; null is the standard value', body: { ports: 'auto', up: null } },
  { route: 'GET /events', summary: 'What happens, one JSON object after another', as: 'GET /events' },
];

/** OpenAPI 3.1 of it. */
export const describeApi = (): Record<string, unknown> => {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const { route, summary, body } of OPERATIONS) {
    const [method = '', pattern = ''] = route.split(' ');
    const path = pattern.replace('...}', '}');
    const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
    paths[path] = {
      ...paths[path],
      [method.toLowerCase()]: {
        summary,
        operationId: `${method.toLowerCase()}${path.replace(/[^a-zA-Z]+(.)?/g, (_, next: string = '') => next.toUpperCase())}`,
        parameters: names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
        ...(body === undefined ? {} : { requestBody: { content: { 'application/json': { schema: { type: 'object' }, example: body } } } }),
        responses: { 200: { description: 'done' }, 401: { description: 'no token' }, 404: { description: 'there is no such thing' } },
      },
    };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'hypr', version: VERSION },
    servers: [{ url: '/api/v1' }],
    security: [{ token: [] }],
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    paths,
  };
};

/** The same as a page to read, without anything that is loaded from elsewhere. */
export const writePage = (): string => {
  const rows = OPERATIONS.map(({ route, summary, body }) => {
    const [method = '', path = ''] = route.split(' ');
    const example = body === undefined ? '' : `<pre>${escapeText(JSON.stringify(body, null, 2))}</pre>`;
    return `<tr><td>${method}<td><code>/api/v1${escapeText(path.replace('...}', '}'))}</code><td>${escapeText(summary)}${example}`;
  });
  const style = 'body{font:15px system-ui;margin:2rem}td{padding:.3rem .8rem;vertical-align:top}pre{margin:.3rem 0}';
  return `<!doctype html><meta charset="utf-8"><title>hypr API</title><style>${style}</style><h1>hypr API ${VERSION}</h1>
<p>Requests need <code>Authorization: Bearer TOKEN</code>; <code>hypr serve --rest</code> says where the token is.</p><table>${rows.join('\n')}</table>\n`;
};

const escapeText = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
