import { type Document, isAlias, isMap, isScalar, isSeq, parseAllDocuments, type Scalar, type YAMLMap } from 'yaml';

export type PathKind = 'env_file' | 'extends';

/**
 * The text of a Compose file with other paths under `env_file` and `extends.file` of its services, and nothing else changed. `rename`
 * gets a path as it is written, variables included; undefined leaves it.
 */
export const rewritePaths = (text: string, rename: (kind: PathKind, path: string) => string | undefined): string => {
  const found = new Map<number, { end: number; text: string }>();
  for (const document of parseAllDocuments(text, { schema: 'failsafe', merge: false, logLevel: 'silent' })) {
    for (const { kind, node } of pathsOf(document as Document)) {
      const renamed = rename(kind, String(node.value));
      if (renamed !== undefined && node.range) {
        found.set(node.range[0], { end: node.range[1], text: renamed });
      }
    }
  }
  let out = text;
  for (const [start, { end, text: renamed }] of [...found].sort(([a], [b]) => b - a)) {
    out = out.slice(0, start) + renamed + out.slice(end);
  }
  return out;
};

function* pathsOf(document: Document): Generator<{ kind: PathKind; node: Scalar }> {
  const services = follow(document, isMap(document.contents) ? document.contents.get('services', true) : undefined);
  for (const { value } of isMap(services) ? services.items : []) {
    for (const service of mapsOf(document, value)) {
      for (const node of envFiles(document, service.get('env_file', true))) {
        yield { kind: 'env_file', node };
      }
      const extending = follow(document, service.get('extends', true));
      const file = isMap(extending) ? follow(document, extending.get('file', true)) : undefined;
      if (isScalar(file)) {
        yield { kind: 'extends', node: file };
      }
    }
  }
}

/** A mapping, and those that `<<` merges into it. */
function* mapsOf(document: Document, value: unknown): Generator<YAMLMap> {
  const node = follow(document, value);
  if (isSeq(node)) {
    for (const item of node.items) {
      yield* mapsOf(document, item);
    }
  }
  if (isMap(node)) {
    yield node;
    yield* mapsOf(document, node.get('<<', true));
  }
}

/** One path, a list of them, or of mappings with a `path`. */
function* envFiles(document: Document, value: unknown): Generator<Scalar> {
  const node = follow(document, value);
  if (isScalar(node)) {
    yield node;
  } else if (isMap(node)) {
    yield* envFiles(document, node.get('path', true));
  } else if (isSeq(node)) {
    for (const item of node.items) {
      yield* envFiles(document, item);
    }
  }
}

const follow = (document: Document, node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node);
