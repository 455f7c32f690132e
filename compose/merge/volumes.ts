import { errorAt, type Mark } from '../source/source.ts';

/** The short form of a mount, taken apart. */
export interface ParsedVolume {
  type: 'bind' | 'volume';
  source: string;
  target: string;
  readOnly: boolean;
  nocopy: boolean;
  propagation?: string;
  selinux?: string;
  /** False for a spec of one or two characters, which compose prints without `volume: {}`. */
  withVolume: boolean;
}

/**
 * `[SOURCE:]TARGET[:MODE]`, with Windows drives and `${…}` left whole.
 * @throws COMPOSE_INVALID
 */
export const parseVolume = (spec: string, mark: Mark): ParsedVolume => {
  if (spec === '') {
    throw errorAt('COMPOSE_INVALID', 'a volume is empty', { mark, hint: 'write SOURCE:TARGET' });
  }
  const volume: ParsedVolume = { type: 'volume', source: '', target: '', readOnly: false, nocopy: false, withVolume: true };
  if (spec.length <= 2) {
    return { ...volume, target: spec, withVolume: false };
  }
  const sections = splitSections(spec);
  if (sections.some((section) => section === '')) {
    throw errorAt('COMPOSE_INVALID', `the volume "${spec}" has an empty part between colons`, { mark, hint: 'write SOURCE:TARGET[:MODE]' });
  }
  if (sections.length > 3) {
    throw errorAt('COMPOSE_INVALID', `the volume "${spec}" has too many colons`, {
      mark,
      hint: 'use the long form with source: and target:',
    });
  }
  if (sections.length === 1) {
    volume.target = sections[0] ?? '';
  } else {
    volume.source = sections[0] ?? '';
    volume.target = sections[1] ?? '';
    applyModes(volume, sections[2] ?? '');
  }
  volume.type = isFilePath(volume.source) ? 'bind' : 'volume';
  return volume;
};

const splitSections = (spec: string): string[] => {
  const sections: string[] = [];
  let buffer = '';
  let depth = 0;
  for (let at = 0; at < spec.length; at++) {
    const char = spec[at] ?? '';
    if (char === '$' && spec[at + 1] === '{') {
      depth += 1;
    } else if (char === '}' && depth > 0) {
      depth -= 1;
    }
    if (char === ':' && depth === 0 && !/^\p{L}$/u.test(buffer)) {
      sections.push(buffer);
      buffer = '';
    } else {
      buffer += char;
    }
  }
  sections.push(buffer);
  return sections;
};

const applyModes = (volume: ParsedVolume, modes: string): void => {
  for (const mode of modes.split(',')) {
    if (mode === 'ro' || mode === 'rw') {
      volume.readOnly = mode === 'ro';
    } else if (mode === 'nocopy') {
      volume.nocopy = true;
    } else if (PROPAGATIONS.has(mode)) {
      volume.propagation = mode;
    } else if (mode === 'z' || mode === 'Z') {
      volume.selinux = mode;
    }
  }
};

const isFilePath = (source: string): boolean => /^(?:[./~]|\\\\|\p{L}:)/u.test(source);

/** True for `C:\x`, `C:/x` and `\\server\share`. */
export const isWindowsAbsolute = (path: string): boolean => /^(?:[a-z]:[\\/]|\\\\)/i.test(path);

const PROPAGATIONS = new Set(['rprivate', 'private', 'rshared', 'shared', 'rslave', 'slave']);
