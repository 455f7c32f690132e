import type { FoundSettings } from './types.ts';

interface Table {
  readonly kind: 'registry' | 'mirror' | 'other';
  readonly values: Map<string, string>;
}

/**
 * Parses the part of containers-registries.conf(5), version 2, that says where to pull from: `[[registry]]` with prefix,
 * location and insecure, and its `[[registry.mirror]]`s. Only prefixes that are a whole registry are used. Everything
 * else in the file, and the rest of TOML, is ignored.
 */
export const parseRegistriesConf = (text: string): FoundSettings => {
  const mirrors: Array<readonly [string, readonly string[]]> = [];
  const insecure: string[] = [];
  let domain: string | undefined;
  for (const { kind, values } of readTables(text)) {
    const location = values.get('location') ?? values.get('prefix');
    if (kind === 'other' || location === undefined) {
      continue;
    }
    const isInsecure = values.get('insecure') === 'true';
    if (isInsecure) {
      insecure.push(location.split('/')[0] ?? location);
    }
    if (kind === 'registry') {
      domain = values.get('prefix') ?? location;
      if (location !== domain) {
        mirrors.push([domain, [location]]);
      }
    } else if (domain !== undefined) {
      mirrors.push([domain, [location]]);
    }
  }
  return { mirrors: mirrors.filter(([name]) => !name.includes('/') && !name.startsWith('*')), insecure };
};

const KINDS: Readonly<Record<string, Table['kind']>> = { '[[registry]]': 'registry', '[[registry.mirror]]': 'mirror' };

const readTables = (text: string): Table[] => {
  const tables: Table[] = [{ kind: 'other', values: new Map() }];
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (line.startsWith('[')) {
      tables.push({ kind: KINDS[line.replace(/\s*#.*$/, '').replace(/\s+/g, '')] ?? 'other', values: new Map() });
      continue;
    }
    const [, key, double, single, bare] = /^([\w-]+)\s*=\s*(?:"([^"\\]*)"|'([^']*)'|(true|false))\s*(?:#.*)?$/.exec(line) ?? [];
    const value = double ?? single ?? bare;
    if (key !== undefined && value !== undefined) {
      tables.at(-1)?.values.set(key, value);
    }
  }
  return tables;
};
