import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Image } from '../../model/types.ts';
import { openBuildFolders } from '../buildkit/build-folders.ts';
import { ApiError, notHere } from '../http/errors.ts';
import { buildFilter, compileFilters, isYes, labelJudges, matchesGlob, readFilters, untilOf } from '../http/filters.ts';
import type { Call, Routes } from '../http/router.ts';
import type { Host } from '../machines/host.ts';
import { describeImage, historyOf, summariseImage, taggedName } from '../shapes/image-list.ts';
import { familiarName, imageRepository } from '../shapes/names.ts';
import { imageNamed } from './containers.ts';
import { JsonLines } from './json-lines.ts';

/** Images of the store, and what is pulled and pushed. */
export const imageRoutes = (host: Host): Routes => ({
  'GET /images/json': (call) => listImages(host, call),
  'POST /images/create': (call) => (call.query.has('fromSrc') ? importImage(host, call) : pullImage(host, call)),
  'POST /images/load': (call) => loadImages(host, call),
  'POST /images/prune': (call) => pruneImages(host, call),
  'GET /images/search': () => {
    throw notHere('docker search', 'registries have no search that works for all of them');
  },
  'GET /images/get': (call) =>
    saveImages(
      host,
      call,
      call.query.list('names').flatMap((names) => names.split(',')),
    ),
  'GET /images/{name...}/get': (call) => saveImages(host, call, [call.params.name ?? '']),
  'GET /images/{name...}/json': async (call) => call.reply.json(describeImage(await needImage(host, call.params.name ?? ''))),
  'GET /images/{name...}/history': async (call) => {
    const image = await needImage(host, call.params.name ?? '');
    call.reply.json(historyOf(image, (await (await host.images()).history(image.id)).steps));
  },
  'POST /images/{name...}/tag': (call) => tagImage(host, call),
  'POST /images/{name...}/push': (call) => pushImage(host, call),
  'DELETE /images/{name...}': (call) => removeImage(host, call),
  'POST /build/prune': async ({ query, reply }) => {
    const until = buildFilter(query);
    const buildsOlderThan = until === undefined ? 0 : Math.max(0, Date.now() - until);
    const { pruneSystem } = await import('../../client/storage.ts');
    const { bytes } = await pruneSystem({ images: 'none', buildsOlderThan, volumes: false, toolchain: false });
    reply.json({ CachesDeleted: [], SpaceReclaimed: bytes });
  },
  'GET /distribution/{name...}/json': async ({ params, reply, signal }) => {
    const { resolveDigest } = await import('../../client/whole-engine.ts');
    const digest = await resolveDigest(params.name ?? '', signal);
    reply.json({ Descriptor: { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest, size: 0 }, Platforms: [] });
  },
});

/** Throws 404 with docker's words, by which its client knows that it has to pull. */
export const needImage = async (host: Host, name: string): Promise<Image> => {
  try {
    return await (await host.images()).inspect(name);
  } catch (error) {
    const code = (error as { code?: string }).code;
    throw code === 'IMAGE_NOT_FOUND' ? new ApiError(404, `No such image: ${shownName(name)}`) : error;
  }
};

const shownName = (name: string): string => (/^(sha256:)?[0-9a-f]{12,64}$/.test(name) || name.includes('@') ? name : taggedName(name));

const listImages = async (host: Host, { query, reply }: Call): Promise<void> => {
  const images = await (await host.images()).list();
  const replicas = host.objects.replicas();
  const createdOf = (name: string): number =>
    images.find(({ references, id }) => id === name || references.some((each) => isNamed(each, name)))?.created ?? 0;
  const matches = compileFilters<Image>(query, {
    dangling: (image, value) => (image.references.length === 0) === isYes(value),
    ...labelJudges(({ config }) => config.Labels),
    reference: (image, value) => image.references.some((reference) => isNamed(reference, value)),
    before: (image, value) => image.created < createdOf(value),
    since: (image, value) => image.created > createdOf(value),
    until: (image, value) => image.created < untilOf(value),
  });
  const count = (id: string): number => replicas.filter(({ status }) => status.imageId === id).length;
  reply.json(
    images
      .filter(matches)
      .sort((a, b) => b.created - a.created)
      .map((image) => summariseImage(image, count(image.id))),
  );
};

/** `nginx`, `nginx:1.26`, with `*` as in a shell. */
const isNamed = (reference: string, wanted: string): boolean => {
  const { repository, tag } = imageRepository(reference);
  const pattern = familiarName(wanted);
  return matchesGlob(repository, pattern) || matchesGlob(`${repository}:${tag}`, pattern);
};

/** What a request with `fromImage` and `tag` means; `tag` may be a digest. */
const pullReference = ({ query }: Call): string => {
  const name = query.text('fromImage');
  const tag = query.text('tag');
  if (name === undefined) {
    throw new ApiError(400, 'fromImage is missing');
  }
  return tag === undefined || name.includes('@') ? name : `${name}${tag.includes(':') ? '@' : ':'}${tag}`;
};

const pullImage = async (host: Host, call: Call): Promise<void> => {
  const reference = pullReference(call);
  const platform = call.query.text('platform');
  const images = await host.images();
  const lines = new JsonLines(call.reply);
  await lines.carry(async () => {
    const before = await images.inspect(reference).catch(() => undefined);
    const tag = imageRepository(reference).tag;
    let hasStarted = false;
    const begin = (): void => {
      if (!hasStarted) {
        hasStarted = true;
        lines.send({ status: `Pulling from ${imageRepository(reference).repository}`, id: tag });
      }
    };
    const [image] = await images.pull(
      [reference],
      { policy: 'always', ...(platform === undefined ? {} : { platform }) },
      (progress) => {
        if (progress.parentId !== undefined) {
          begin();
          lines.progress(progress);
        }
      },
      call.signal,
    );
    begin();
    lines.send({ status: `Digest: ${image?.manifestDigest}` });
    const isNew = before?.id !== image?.id;
    lines.send({ status: `Status: ${isNew ? 'Downloaded newer image' : 'Image is up to date'} for ${shownName(reference)}` });
    host.events.tell({
      type: 'image',
      action: 'pull',
      id: shownName(reference),
      attributes: { name: imageRepository(reference).repository },
    });
  });
};

const importImage = async (host: Host, { query, body, reply, signal }: Call): Promise<void> => {
  const source = query.text('fromSrc') ?? '';
  if (source !== '-') {
    throw notHere('docker import of a URL', `use: curl -L ${source} | docker import -`);
  }
  const images = await host.images();
  const lines = new JsonLines(reply);
  await lines.carry(async () => {
    const { id } = await images.import(
      {
        tar: body.bytes as AsyncIterable<Buffer>,
        reference: imageNamed(query.text('repo'), query.text('tag')),
        message: query.text('message') ?? `Imported from ${source}`,
        changes: query.list('changes').filter((text) => text !== ''),
        platform: query.text('platform'),
        now: Date.now(),
      },
      signal,
    );
    lines.send({ status: id });
    host.events.tell({ type: 'image', action: 'import', id, attributes: { name: query.text('repo') ?? '' } });
  });
};

const pushImage = async (host: Host, call: Call): Promise<void> => {
  const { params, query, reply, signal } = call;
  const tag = query.text('tag');
  const name = params.name ?? '';
  const reference = tag === undefined ? name : `${name}:${tag}`;
  await needImage(host, reference);
  const images = await host.images();
  const lines = new JsonLines(reply);
  await lines.carry(async () => {
    lines.send({ status: `The push refers to repository [${imageRepository(reference).repository}]` });
    const onProgress = (progress: Parameters<JsonLines['progress']>[0]): void => {
      if (progress.parentId !== undefined) {
        lines.progress(progress);
      }
    };
    for (const { digest, size } of await images.push(
      [reference],
      { allTags: tag === undefined && !name.includes(':') },
      onProgress,
      signal,
    )) {
      lines.send({ status: `${tag ?? 'latest'}: digest: ${digest} size: ${size}` });
      lines.send({ progressDetail: {}, aux: { Tag: tag ?? 'latest', Digest: digest, Size: size } });
    }
  });
};

const tagImage = async (host: Host, { params, query, reply }: Call): Promise<void> => {
  const image = await needImage(host, params.name ?? '');
  const repo = query.text('repo');
  if (repo === undefined) {
    throw new ApiError(400, 'repo is missing');
  }
  const tag = query.text('tag');
  const target = tag === undefined ? repo : `${repo}:${tag}`;
  await (await host.images()).tag(image.id, target);
  host.events.tell({ type: 'image', action: 'tag', id: image.id, attributes: { name: shownName(target) } });
  reply.empty(201);
};

const removeImage = async (host: Host, { params, query, reply }: Call): Promise<void> => {
  const name = params.name ?? '';
  const image = await needImage(host, name);
  const lines = await (await host.images()).remove([name], { force: query.bool('force') });
  const entries = lines.map(deletedEntry);
  for (const entry of entries) {
    host.events.tell({ type: 'image', action: 'Untagged' in entry ? 'untag' : 'delete', id: image.id, attributes: { name: image.id } });
  }
  reply.json(entries);
};

/** `untagged: x` and `Deleted: sha256:…` as members. */
const deletedEntry = (line: string): { Untagged: string } | { Deleted: string } => {
  const [, kind = '', name = line] = /^(\w+): (.*)$/s.exec(line) ?? [];
  return /^untagged$/i.test(kind) ? { Untagged: name } : { Deleted: name };
};

const pruneImages = async (host: Host, { query, reply }: Call): Promise<void> => {
  const matches = compileFilters<Image>(query, {
    dangling: () => true,
    ...labelJudges(({ config }) => config.Labels),
    until: (image, value) => image.created < untilOf(value),
  });
  const all = readFilters(query).dangling?.some((value) => !isYes(value)) === true;
  const imageIds = (await (await host.images()).list()).filter(matches).map(({ id }) => id);
  const { pruneSystem } = await import('../../client/storage.ts');
  const { images, bytes } = await pruneSystem({
    images: all ? 'all' : 'dangling',
    imageIds,
    buildsOlderThan: undefined,
    volumes: false,
    toolchain: false,
  });
  reply.json({ ImagesDeleted: images.length === 0 ? null : images.map(deletedEntry), SpaceReclaimed: bytes });
};

/** In HYPR_HOME, because it may be large; what killed servers left is removed first. */
const withFile = async (work: (path: string) => Promise<void>): Promise<void> => {
  await using folders = await openBuildFolders();
  await work(join(folders.contexts, 'images.tar'));
};

const saveImages = async (host: Host, { reply, signal }: Call, names: readonly string[]): Promise<void> => {
  await Promise.all(names.map((name) => needImage(host, name)));
  await withFile(async (path) => {
    await (await host.images()).save(names, path, { format: 'docker' }, signal);
    const sink = reply.stream('application/x-tar');
    for await (const chunk of createReadStream(path)) {
      await sink.write(chunk as Buffer);
    }
    sink.end();
  });
};

const loadImages = async (host: Host, { body, reply, signal }: Call): Promise<void> => {
  await withFile(async (path) => {
    await pipeline(Readable.from(body.bytes), createWriteStream(path));
    const images = await host.images();
    const lines = new JsonLines(reply);
    // As docker's: an archive that cannot be read is told in the answer, which clients look into.
    lines.begin();
    await lines.carry(async () => {
      for (const name of await images.load(path, () => {}, signal)) {
        lines.send({ stream: `Loaded image${/^sha256:/.test(name) ? ' ID' : ''}: ${shownName(name)}\n` });
      }
    });
  });
};
