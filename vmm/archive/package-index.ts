import { HyprError } from '../../base/errors.ts';
import { parseParagraph, readParagraphs } from './paragraphs.ts';
import { type Alternative, compareVersions, parseRelations, satisfies } from './relations.ts';

/** A package of the archive. */
export interface Package {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** Path below the archive's root. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly depends: string;
  readonly provides: string;
}

export interface PackageIndex {
  readonly byName: ReadonlyMap<string, Package>;
  /** Virtual name → who provides it, with the version that is provided, if there is one. */
  readonly providers: ReadonlyMap<string, ReadonlyArray<{ readonly of: Package; readonly version: string | undefined }>>;
}

/** Reads a Packages file: of each package its newest version. Entries with a name, path or digest that is none are left out. */
export const readPackageIndex = async (source: AsyncIterable<Uint8Array>): Promise<PackageIndex> => {
  const byName = new Map<string, Package>();
  for await (const text of readParagraphs(source)) {
    const found = toPackage(parseParagraph(text));
    const known = found && byName.get(found.name);
    if (found && (known === undefined || compareVersions(found.version, known.version) > 0)) {
      byName.set(found.name, found);
    }
  }
  const providers = new Map<string, Array<{ of: Package; version: string | undefined }>>();
  for (const of of byName.values()) {
    for (const [{ name, version } = { name: '', version: undefined }] of parseRelations(of.provides)) {
      providers.set(name, [...(providers.get(name) ?? []), { of, version }]);
    }
  }
  return { byName, providers };
};

const toPackage = (fields: Record<string, string>): Package | undefined => {
  const {
    Package: name = '',
    Version: version = '',
    Architecture: architecture = '',
    Filename: path = '',
    Size,
    SHA256: sha256 = '',
  } = fields;
  const isSound =
    /^[a-z0-9][a-z0-9+.-]*$/.test(name) &&
    /^[A-Za-z0-9.+:~-]+$/.test(version) &&
    /^[a-z0-9-]+$/.test(architecture) &&
    /^[0-9a-f]{64}$/.test(sha256) &&
    /^[A-Za-z0-9][A-Za-z0-9.+_~%-]*(\/[A-Za-z0-9][A-Za-z0-9.+_~%-]*)+$/.test(path);
  const depends = [fields['Pre-Depends'], fields.Depends].filter(Boolean).join(', ');
  return isSound ? { name, version, architecture, path, bytes: Number(Size), sha256, depends, provides: fields.Provides ?? '' } : undefined;
};

/**
 * The packages and everything that they depend on, sorted by name. As apt on an empty host, without recommended packages: of
 * alternatives one that is there already, else the first that exists, of several providers the first. Throws TOOLCHAIN_FAILED if
 * something cannot be satisfied.
 */
export const resolveClosure = (index: PackageIndex, names: readonly string[]): Package[] => {
  const chosen = new Map<string, Package>();
  const add = (found: Package): void => {
    if (chosen.has(found.name)) {
      return;
    }
    chosen.set(found.name, found);
    for (const group of parseRelations(found.depends)) {
      if (!group.some((wanted) => candidates(index, wanted).some(({ name }) => chosen.has(name)))) {
        add(choose(index, group, found.name));
      }
    }
  };
  for (const name of names) {
    const found = index.byName.get(name);
    if (found === undefined) {
      throw missing(name, 'the archive does not have it');
    }
    add(found);
  }
  return [...chosen.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
};

const choose = (index: PackageIndex, group: readonly Alternative[], by: string): Package => {
  const found = group.flatMap((wanted) => candidates(index, wanted))[0];
  if (found === undefined) {
    throw missing(group.map(({ name }) => name).join(' or '), `${by} needs it, and the archive does not have it`);
  }
  return found;
};

/** The real package first, then its providers. A dependency with a version is only satisfied by a provider with one. */
const candidates = (index: PackageIndex, wanted: Alternative): Package[] => {
  const real = index.byName.get(wanted.name);
  const virtual = (index.providers.get(wanted.name) ?? []).filter(({ version }) =>
    version === undefined ? wanted.version === undefined : satisfies(version, wanted),
  );
  return [...(real && satisfies(real.version, wanted) ? [real] : []), ...virtual.map(({ of }) => of)];
};

const missing = (name: string, why: string): HyprError =>
  new HyprError('TOOLCHAIN_FAILED', `the package ${name} cannot be fetched: ${why}`, { hint: 'use another mirror: HYPR_DEBIAN_MIRROR' });
