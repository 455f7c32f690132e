// The images that docker compose's suite names, as stand-ins made of our fixture images and served on a unix socket, by which
// network namespaces reach them.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { serveFixtures } from '../serve-fixtures.mjs';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const GZIP = 'application/vnd.oci.image.layer.v1.tar+gzip';
const CONFIG = 'application/vnd.oci.image.config.v1+json';

const ALPINE_TAGS = ['latest', '3.12', '3.13.12', '3.14', '3.15', '3.18', '3.19', '3.20', '3.22'];

const FIXTURES = ['debian', 'busybox', 'nginx', 'mariadb', 'golang'];

/** What a name is made of: the same layers, and a config of its own so that each is another image. */
const STAND_INS = [
  ...ALPINE_TAGS.map((tag) => ({ name: 'library/alpine', tag, from: 'busybox', layer: alpineLayer, config: { Cmd: ['/bin/sh'] } })),
  { name: 'library/busybox', tag: '1.35.0', from: 'busybox' },
  { name: 'library/bash', tag: 'latest', from: 'debian', config: { Cmd: ['bash'] } },
  { name: 'library/nginx', tag: 'alpine', from: 'nginx', layer: netcatLayer },
  {
    ...{ name: 'library/registry', tag: '3', from: 'debian', layer: registryLayer },
    config: { Cmd: ['docker-registry', 'serve', '/registry.yml'], ExposedPorts: { '5000/tcp': {} } },
  },
  { name: 'library/golang', tag: 'alpine', from: 'golang' },
  { name: 'alpine/curl', tag: 'latest', from: 'nginx', config: { Entrypoint: ['/usr/bin/curl'], Cmd: [] } },
  { name: 'library/hello-world', tag: 'latest', from: 'busybox', config: { Cmd: ['echo', 'Hello from Docker!'] } },
];

/** Serves them on the unix socket `path` until `close`. */
export const serveStandIns = async (path) => {
  const registry = await serveFixtures(FIXTURES);
  for (const standIn of STAND_INS) {
    await push(registry.url, standIn);
  }
  const server = createServer((incoming, outgoing) => {
    const { method, url, headers } = incoming;
    const { hostname, port } = new URL(registry.url);
    const forward = request({ hostname, port, method, path: url, headers }, (answer) => {
      // Docker Hub does not say which repositories there are.
      const isUnknown = answer.statusCode === 404 && !isKnown(url);
      outgoing.writeHead(isUnknown ? 401 : answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    forward.on('error', () => outgoing.destroy());
    outgoing.on('close', () => forward.destroy());
    incoming.pipe(forward);
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(path, resolve));
  return {
    socket: path,
    names: STAND_INS.map(({ name, tag }) => `${name.replace(/^library\//, '')}:${tag}`),
    close: async () => {
      server.close();
      server.closeAllConnections();
      await registry.close();
    },
  };
};

const isKnown = (url) =>
  [...STAND_INS.map(({ name }) => name), ...FIXTURES.map((name) => `library/${name}`)].some((name) => url.startsWith(`/v2/${name}/`));

/** Folders and links that alpine has and busybox has not. */
function alpineLayer() {
  const folders = ['usr/local/', 'usr/local/bin/', 'usr/local/share/', 'usr/local/lib/', 'opt/', 'srv/', 'mnt/', 'media/'];
  return [...folders.map((path) => tarEntry(path, '5')), tarEntry('var/run', '2', { target: '../run' })];
}

/** Alpine's is busybox's, which knows `nc HOST:PORT`. */
async function netcatLayer(url) {
  const index = await get(`${url}/v2/library/busybox/manifests/latest`, INDEX);
  const { layers } = await get(`${url}/v2/library/busybox/manifests/${index.manifests[0].digest}`, MANIFEST);
  for (const { digest } of layers) {
    const blob = await ask(`${url}/v2/library/busybox/blobs/${digest}`, {});
    const content = findInTar(gunzipSync(Buffer.from(await blob.arrayBuffer())), 'bin/busybox');
    if (content !== undefined) {
      return [tarEntry('usr/bin/nc', '0', { content })];
    }
  }
  throw new Error('the image of busybox has no bin/busybox');
}

/** The program that serves all of these. */
async function registryLayer() {
  const home = process.env.HYPR_HOME ?? join(homedir(), '.hypr');
  const content = await readFile(join(home, 'cache', 'fixtures', 'registry', 'usr', 'bin', 'docker-registry'));
  const settings = { version: 0.1, storage: { filesystem: { rootdirectory: '/var/lib/registry' } }, http: { addr: ':5000' } };
  return [
    tarEntry('usr/bin/docker-registry', '0', { content }),
    tarEntry('registry.yml', '0', { content: Buffer.from(JSON.stringify(settings)) }),
  ];
}

const findInTar = (tar, wanted) => {
  for (let at = 0; at + 512 <= tar.length; ) {
    const name = tar.toString('latin1', at, at + 100).replace(/\0.*$/s, '');
    const size = Number.parseInt(tar.toString('latin1', at + 124, at + 136), 8) || 0;
    if (name.replace(/^\.\//, '') === wanted) {
      return tar.subarray(at + 512, at + 512 + size);
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return undefined;
};

/** A file (0), a folder (5) or a symbolic link (2), as ustar has it. */
function tarEntry(path, type, { target = '', content = Buffer.alloc(0) } = {}) {
  const header = Buffer.alloc(512);
  header.write(path, 0);
  header.write('0000755\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write(type, 156);
  header.write(target, 157);
  header.write('ustar\x0000', 257);
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  return Buffer.concat([header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

const push = async (url, { name, tag, from, config, layer }) => {
  const source = `library/${from}`;
  const index = await get(`${url}/v2/${source}/manifests/latest`, INDEX);
  const manifest = await get(`${url}/v2/${source}/manifests/${index.manifests[0].digest}`, MANIFEST);
  const original = await get(`${url}/v2/${source}/blobs/${manifest.config.digest}`, CONFIG);
  for (const { digest } of manifest.layers) {
    await ask(`${url}/v2/${name}/blobs/uploads/?mount=${digest}&from=${source}`, { method: 'POST' });
  }
  const tar = layer && Buffer.concat([...(await layer(url)), Buffer.alloc(1024)]);
  const more = tar ? [{ mediaType: GZIP, ...(await putBlob(url, name, gzipSync(tar, { level: 1 }))) }] : [];
  const diffIds = tar ? [describeBytes(tar).digest] : [];
  const manifests = [];
  for (const architecture of ['amd64', 'arm64']) {
    const text = JSON.stringify({
      ...original,
      architecture,
      author: `stand-in for ${name}:${tag}`,
      config: { ...original.config, ...config },
      rootfs: { type: 'layers', diff_ids: [...original.rootfs.diff_ids, ...diffIds] },
      history: [...original.history, ...more.map(() => ({ created: original.created, created_by: 'what the image of that name has' }))],
    });
    const configured = { mediaType: CONFIG, ...(await putBlob(url, name, text)) };
    const made = { ...manifest, layers: [...manifest.layers, ...more], config: configured };
    manifests.push({ ...(await putManifest(url, name, undefined, made, MANIFEST)), platform: { os: 'linux', architecture } });
  }
  await putManifest(url, name, tag, { schemaVersion: 2, mediaType: INDEX, manifests }, INDEX);
};

const describeBytes = (text) => ({
  digest: `sha256:${createHash('sha256').update(text).digest('hex')}`,
  size: Buffer.byteLength(text),
});

const putBlob = async (url, name, text) => {
  const described = describeBytes(text);
  const started = await ask(`${url}/v2/${name}/blobs/uploads/`, { method: 'POST' });
  const place = new URL(started.headers.get('location'), url);
  place.searchParams.set('digest', described.digest);
  await ask(place, { method: 'PUT', body: text, headers: { 'content-type': 'application/octet-stream' } });
  return described;
};

const putManifest = async (url, name, tag, content, mediaType) => {
  const text = JSON.stringify(content);
  const described = describeBytes(text);
  await ask(`${url}/v2/${name}/manifests/${tag ?? described.digest}`, {
    method: 'PUT',
    body: text,
    headers: { 'content-type': mediaType },
  });
  return { mediaType, ...described };
};

const get = async (url, accept) => (await ask(url, { headers: { accept } })).json();

const ask = async (url, init) => {
  const response = await fetch(url, init);
  if (!response.ok) {
    throw new Error(`${init.method ?? 'GET'} ${url}: ${response.status} ${await response.text()}`);
  }
  return response;
};
