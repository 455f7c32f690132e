// The images that docker compose's suite names, as stand-ins made of our fixture images and served on a unix socket, by which
// network namespaces reach them.
import { createHash } from 'node:crypto';
import { connect, createServer } from 'node:net';
import { serveFixtures } from '../serve-fixtures.mjs';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';

const ALPINE_TAGS = ['latest', '3.12', '3.13.12', '3.14', '3.15', '3.18', '3.19', '3.20', '3.22'];

/** What a name is made of: the same layers, and a config of its own so that each is another image. */
const STAND_INS = [
  ...ALPINE_TAGS.map((tag) => ({ name: 'library/alpine', tag, from: 'busybox', config: { Cmd: ['/bin/sh'] } })),
  { name: 'library/busybox', tag: '1.35.0', from: 'busybox' },
  { name: 'library/bash', tag: 'latest', from: 'debian', config: { Cmd: ['bash'] } },
  { name: 'library/nginx', tag: 'alpine', from: 'nginx' },
  { name: 'library/golang', tag: 'alpine', from: 'golang' },
  { name: 'alpine/curl', tag: 'latest', from: 'nginx', config: { Entrypoint: ['/usr/bin/curl'], Cmd: [] } },
  { name: 'library/hello-world', tag: 'latest', from: 'busybox', config: { Cmd: ['echo', 'Hello from Docker!'] } },
];

/** Serves them on the unix socket `path` until `close`. */
export const serveStandIns = async (path) => {
  const registry = await serveFixtures(['debian', 'busybox', 'nginx', 'mariadb', 'golang']);
  const { hostname, port } = new URL(registry.url);
  for (const standIn of STAND_INS) {
    await push(registry.url, standIn);
  }
  const server = createServer((inside) => {
    const outside = connect(Number(port), hostname);
    inside.on('error', () => outside.destroy()).on('close', () => outside.destroy());
    outside.on('error', () => inside.destroy()).on('close', () => inside.destroy());
    inside.pipe(outside).pipe(inside);
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(path, resolve));
  return {
    socket: path,
    names: STAND_INS.map(({ name, tag }) => `${name.replace(/^library\//, '')}:${tag}`),
    close: async () => {
      server.close();
      await registry.close();
    },
  };
};

const push = async (url, { name, tag, from, config }) => {
  const source = `library/${from}`;
  const index = await get(`${url}/v2/${source}/manifests/latest`, INDEX);
  const manifest = await get(`${url}/v2/${source}/manifests/${index.manifests[0].digest}`, MANIFEST);
  const original = await get(`${url}/v2/${source}/blobs/${manifest.config.digest}`, CONFIG);
  for (const { digest } of manifest.layers) {
    await ask(`${url}/v2/${name}/blobs/uploads/?mount=${digest}&from=${source}`, { method: 'POST' });
  }
  const manifests = [];
  for (const architecture of ['amd64', 'arm64']) {
    const text = JSON.stringify({
      ...original,
      architecture,
      author: `stand-in for ${name}:${tag}`,
      config: { ...original.config, ...config },
    });
    const made = { ...manifest, config: { mediaType: CONFIG, ...(await putBlob(url, name, text)) } };
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
