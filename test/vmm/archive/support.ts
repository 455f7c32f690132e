import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { createCleartextMessage, generateKey, readPrivateKey, sign } from 'openpgp';
import { END_MARK, padding } from '../../../base/tar/block.ts';
import { encodeHeader, PLAIN_FILE } from '../../../base/tar/header.ts';

export const sha256 = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex');

export const makeKey = async (): Promise<{ privateKey: string; publicKey: string }> => {
  const { privateKey, publicKey } = await generateKey({ userIDs: [{ name: 'Archive', email: 'archive@example.test' }], format: 'armored' });
  return { privateKey, publicKey };
};

export const signText = async (text: string, privateKey: string): Promise<string> =>
  sign({ message: await createCleartextMessage({ text }), signingKeys: await readPrivateKey({ armoredKey: privateKey }) });

type Entry = Partial<Omit<typeof PLAIN_FILE, 'type' | 'link' | 'mode'>> & {
  readonly name: string;
  readonly type?: 'file' | 'dir' | 'symlink' | 'hardlink';
  readonly link?: string;
  readonly mode?: number;
  readonly content?: string | Buffer;
};

export const makeTar = (entries: readonly Entry[]): Buffer =>
  Buffer.concat([
    ...entries.flatMap(({ content = '', ...entry }) => {
      const data = Buffer.from(content);
      return [encodeHeader({ ...PLAIN_FILE, ...entry, size: data.length }), data, Buffer.alloc(padding(data.length))];
    }),
    END_MARK,
  ]);

const COMPRESS = {
  '.xz': (data: Buffer) => execFileSync('xz', ['-c', '-T1'], { input: data, maxBuffer: 1 << 28 }),
  '.gz': (data: Buffer) => gzipSync(data),
  '.zst': (data: Buffer) => zstdCompressSync(data),
  '': (data: Buffer) => data,
} as const;

export type Compression = keyof typeof COMPRESS;
export const compress = (data: Buffer, as: Compression): Buffer => COMPRESS[as](data);

const member = (name: string, content: Buffer): Buffer => {
  const head = `${name.padEnd(16)}${'0'.padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'100644'.padEnd(8)}${String(content.length).padEnd(10)}\`\n`;
  return Buffer.concat([Buffer.from(head), content, Buffer.alloc(content.length % 2, '\n')]);
};

export const makeDeb = (entries: readonly Entry[], as: Compression = '.xz'): Buffer =>
  Buffer.concat([
    Buffer.from('!<arch>\n'),
    member('debian-binary', Buffer.from('2.0\n')),
    member('control.tar.gz', gzipSync(makeTar([]))),
    member(`data.tar${as}`, compress(makeTar(entries), as)),
  ]);

export interface FakePackage {
  readonly name: string;
  readonly version?: string;
  readonly fields?: string;
  readonly deb?: Buffer;
}

/** The files of an archive with these packages: path → content. */
export const makeArchive = async (packages: readonly FakePackage[], options: { privateKey: string; head?: string; date?: string }) => {
  const files = new Map<string, Buffer>();
  let index = '';
  for (const { name, version = '1.0', fields = '', deb = Buffer.from(`deb of ${name}`) } of packages) {
    const path = `pool/main/${name[0]}/${name}/${name}_${version.replace(/^\d+:/, '')}_amd64.deb`;
    files.set(path, deb);
    index += `Package: ${name}\nVersion: ${version}\nArchitecture: amd64\n${fields}Filename: ${path}\nSize: ${deb.length}\nSHA256: ${sha256(deb)}\n\n`;
  }
  const packed = compress(Buffer.from(index), '.xz');
  const base = 'dists/trixie/main/binary-amd64';
  files.set(`${base}/Packages.xz`, packed);
  files.set(`${base}/by-hash/SHA256/${sha256(packed)}`, packed);
  const head = options.head ?? 'Codename: trixie\nAcquire-By-Hash: yes\n';
  const text = `Origin: Test\n${head}Date: ${options.date ?? 'Sat, 21 Nov 2026 09:15:44 UTC'}\nSHA256:\n ${sha256(packed)} ${packed.length} main/binary-amd64/Packages.xz\n`;
  files.set('dists/trixie/InRelease', Buffer.from(await signText(text, options.privateKey)));
  return files;
};

export interface FakeMirror extends AsyncDisposable {
  readonly address: string;
  /** Path and `Range` of each request. */
  readonly asked: string[];
  files: Map<string, Buffer>;
  /** Called before an answer; true when it has answered. */
  intercept: (request: IncomingMessage, response: ServerResponse, content: Buffer) => boolean;
}

/** Serves files on loopback, with ranges. */
export const serveMirror = async (files: Map<string, Buffer>): Promise<FakeMirror> => {
  const mirror = { files, asked: [] as string[], intercept: (() => false) as FakeMirror['intercept'] };
  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? '').replace(/^(http:\/\/[^/]+)?\/debian\//, ''));
    const { range } = request.headers;
    mirror.asked.push(range === undefined ? path : `${path} ${range}`);
    const content = mirror.files.get(path);
    if (content === undefined) {
      response.writeHead(404).end();
    } else if (!mirror.intercept(request, response, content)) {
      const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
      response.writeHead(from > 0 ? 206 : 200).end(content.subarray(from));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/debian`;
  return Object.assign(mirror, {
    address,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
};
