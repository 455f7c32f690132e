import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Repositories in a temporary folder, served by `git http-backend` on loopback. */
export class GitServer {
  readonly folder = mkdtempSync(join(tmpdir(), 'hypr-git-'));
  #served = this.folder;
  readonly #server = createServer((request, response) => this.#answer(request, response));
  /** `Authorization` that is demanded; undefined: none. */
  authorization: string | undefined;
  /** Path and query of every request. */
  readonly requests: string[] = [];
  /** `Authorization` that came; empty: there was none. */
  readonly authorizations = new Set<string>();
  /** Where a request is sent on to. */
  redirect: ((path: string) => string | undefined) | undefined;
  url = '';

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    await new Promise((resolve) => {
      this.#server.close(resolve);
      this.#server.closeAllConnections();
    });
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Serves the repositories of another server. */
  serve(folder: string): void {
    this.#served = folder;
  }

  /** How often content was fetched. */
  fetches(): number {
    return this.requests.filter((path) => path.includes('service=git-upload-pack')).length;
  }

  git(name: string, ...args: string[]): string {
    const identity = ['-c', 'user.name=n', '-c', 'user.email=n@x', '-c', 'protocol.file.allow=always', '-c', 'core.hooksPath=/dev/null'];
    return execFileSync('git', [...identity, ...args], {
      cwd: join(this.folder, name),
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
  }

  /** Writes files and commits them; gives the commit. */
  commit(name: string, files: Readonly<Record<string, string>>): string {
    const folder = join(this.folder, name);
    mkdirSync(folder, { recursive: true });
    this.git(name, 'init', '-q', '-b', 'main');
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    this.git(name, 'add', '-A');
    this.git(name, 'commit', '-q', '--allow-empty', '-m', 'change');
    return this.git(name, 'rev-parse', 'HEAD');
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.requests.push(request.url ?? '');
    this.authorizations.add(request.headers.authorization ?? '');
    const location = this.redirect?.(request.url ?? '');
    if (location !== undefined) {
      response.writeHead(302, { location }).end();
      return;
    }
    if (this.authorization !== undefined && request.headers.authorization !== this.authorization) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
      return;
    }
    const url = new URL(request.url ?? '/', this.url);
    const child = spawn('git', ['http-backend'], {
      env: {
        PATH: process.env.PATH,
        GIT_PROJECT_ROOT: this.#served,
        GIT_HTTP_EXPORT_ALL: '1',
        // `/NAME.git` is the repository of the work tree NAME.
        PATH_INFO: url.pathname.replace(/^\/([^/]+)\.git/, '/$1/.git'),
        QUERY_STRING: url.search.slice(1),
        REQUEST_METHOD: request.method,
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        ...(request.headers['content-encoding'] ? { HTTP_CONTENT_ENCODING: request.headers['content-encoding'] } : {}),
        ...(request.headers['git-protocol'] ? { GIT_PROTOCOL: String(request.headers['git-protocol']) } : {}),
      },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    child.stdin.on('error', () => {});
    request.pipe(child.stdin);
    const parts: Buffer[] = [];
    child.stdout.on('data', (part: Buffer) => parts.push(part));
    child.on('close', () => {
      const answer = Buffer.concat(parts);
      const end = answer.indexOf('\r\n\r\n');
      const headers = answer
        .subarray(0, end)
        .toString()
        .split('\r\n')
        .map((line) => line.split(': ') as [string, string]);
      const { Status = '200', ...rest } = Object.fromEntries(headers);
      response.writeHead(Number.parseInt(Status, 10), rest).end(answer.subarray(end + 4));
    });
  }
}
