import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { listVariables, type Variable } from '../interpolate/variables.ts';
import { checkOwnKeys, loadProject, loadTree } from '../load/load.ts';
import type { Project } from '../model/model.ts';
import type { LoadOptions } from '../model/options.ts';
import { type Warning, Warnings } from '../model/warnings.ts';
import { inDependencyOrder } from '../project/cycles.ts';
import { scalar, toPrinted, withEntries } from '../source/node.ts';
import { emitText } from '../yaml/emit.ts';
import { serviceHashes } from './config-hash.ts';
import { explain } from './explain.ts';
import { explainEnvFiles } from './explain-env.ts';
import { type DigestResolver, lockedServices, pinImages } from './pin-images.ts';
import { formatLock, formatPlainJson, formatPlainYaml, formatProjectJson, formatProjectYaml, goJson } from './render.ts';

/** The flags of `config`, over those of loading. At most one of the listings is printed. */
export interface ConfigOptions extends LoadOptions {
  readonly format?: 'yaml' | 'json';
  readonly quiet?: boolean;
  /** Names as Compose v1 made them, with `_`. */
  readonly compatibility?: boolean;
  readonly output?: string | undefined;
  readonly listServices?: boolean;
  readonly listVolumes?: boolean;
  readonly listNetworks?: boolean;
  readonly listModels?: boolean;
  readonly listImages?: boolean;
  readonly listProfiles?: boolean;
  readonly listVariables?: boolean;
  readonly listEnvironment?: boolean;
  /** Pin images to their digests: in the whole project, or in an override file with nothing else. */
  readonly pinImages?: 'resolve' | 'lock' | undefined;
  readonly resolveDigest?: DigestResolver;
  /** `*`, or service names with commas. */
  readonly hash?: string | undefined;
  /** A dotted path, e.g. `services.web.image`. */
  readonly explain?: string | undefined;
}

export interface ConfigResult {
  /** What to print on standard output, newlines included. */
  readonly stdout: string;
  readonly warnings: readonly Warning[];
}

/**
 * `hypr compose config`: loads the project and returns the output. Starts nothing.
 * @throws HyprError with a COMPOSE_… code; the caller prints it and exits 1
 */
export const runConfig = async (options: ConfigOptions): Promise<ConfigResult> => {
  const rendered = await render(options);
  const stdout = options.quiet === true ? '' : rendered.stdout;
  if (options.output !== undefined && stdout !== '') {
    await writeFile(resolve(options.cwd, options.output), stdout);
    return { stdout: '', warnings: rendered.warnings };
  }
  return { stdout, warnings: rendered.warnings };
};

const render = (options: ConfigOptions): Promise<ConfigResult> => {
  const listing = LISTINGS.find(({ flag }) => options[flag] === true);
  if (options.explain !== undefined) {
    return renderExplanation(options, options.explain);
  }
  if (listing !== undefined) {
    return renderListing(options, listing.print);
  }
  if (options.hash !== undefined) {
    return renderHashes(options, options.hash);
  }
  if (options.listProfiles === true) {
    return renderProfiles(options);
  }
  if (options.listVariables === true) {
    return renderVariables(options);
  }
  return options.interpolate === false ? renderModel(options) : renderProject(options);
};

const renderProject = async (options: ConfigOptions): Promise<ConfigResult> => {
  const loaded = await loadProject(options);
  const warnings = [...loaded.warnings, ...checkOwnKeys(loaded.tree)];
  const project = options.pinImages === undefined ? loaded.project : await pinImages(loaded.project, needResolver(options));
  if (options.pinImages === 'lock') {
    return { stdout: formatLock(lockedServices(project), options.format ?? 'yaml'), warnings };
  }
  return { stdout: options.format === 'json' ? formatProjectJson(project) : formatProjectYaml(project), warnings };
};

const needResolver = ({ resolveDigest }: ConfigOptions): DigestResolver => {
  if (resolveDigest === undefined) {
    throw new HyprError('HYPR_USAGE', 'image digests come from their registries, which are not available here');
  }
  return resolveDigest;
};

/** Without interpolation there is no typed project: the merged model is printed as it is. */
const renderModel = async (options: ConfigOptions): Promise<ConfigResult> => {
  const warnings = new Warnings();
  const { tree, name } = await loadTree(options, warnings);
  if ((options.services ?? []).length > 0) {
    warnings.add('ignored', 'service filtering is not applied when --no-interpolate is set, the full model will be rendered');
  }
  const plain = toPrinted(withEntries(tree, { name: scalar(name, tree) }));
  return { stdout: options.format === 'json' ? formatPlainJson(plain) : formatPlainYaml(plain), warnings: warnings.all };
};

/** The steps of loading that listings and hashes skip. */
const LISTED = { resolveEnv: false, uniqueNames: false } as const;

/** Listings look at the whole project and read no env files. */
const renderListing = async (options: ConfigOptions, print: (project: Project, separator: string) => string[]): Promise<ConfigResult> => {
  const { project, warnings } = await loadProject({ ...options, services: [], ...LISTED });
  return { stdout: lines(print(project, options.compatibility === true ? '_' : '-')), warnings };
};

const LISTINGS = [
  { flag: 'listServices', print: (project: Project) => inDependencyOrder(project.services) },
  { flag: 'listVolumes', print: (project: Project) => Object.keys(project.volumes).sort() },
  { flag: 'listNetworks', print: (project: Project) => Object.keys(project.networks).sort() },
  {
    flag: 'listModels',
    print: (project: Project) =>
      Object.values(project.models ?? {})
        .map(({ model }) => model)
        .sort(),
  },
  {
    flag: 'listImages',
    print: (project: Project, separator: string) =>
      Object.entries(project.services)
        .map(([name, { image }]) => image ?? `${project.name}${separator}${name}`)
        .sort(),
  },
  {
    flag: 'listEnvironment',
    print: (project: Project) =>
      Object.entries(project.environment)
        .map(([name, value]) => `${name}=${value}`)
        .sort(),
  },
] as const;

const renderHashes = async (options: ConfigOptions, wanted: string): Promise<ConfigResult> => {
  const { project, warnings } = await loadProject({ ...options, services: wanted === '*' ? [] : wanted.split(','), uniqueNames: false });
  const hashes = serviceHashes(project, wanted === '*' ? undefined : wanted.split(','));
  return { stdout: lines(hashes.map(({ name, hash }) => `${name} ${hash}`)), warnings };
};

const renderProfiles = async (options: ConfigOptions): Promise<ConfigResult> => {
  const { project, warnings } = await loadProject({ ...options, ...LISTED });
  const services = [...Object.values(project.services), ...Object.values(project.disabledServices)];
  return { stdout: lines([...new Set(services.flatMap(({ profiles }) => profiles ?? []))].sort()), warnings };
};

const renderVariables = async (options: ConfigOptions): Promise<ConfigResult> => {
  const warnings = new Warnings();
  const { tree } = await loadTree({ ...options, interpolate: false, normalize: false, validate: false }, warnings);
  if ((options.services ?? []).length > 0) {
    warnings.add('ignored', 'service filtering is not applied when --variables is set, variables from the full model will be rendered');
  }
  const variables = listVariables(tree);
  return { stdout: VARIABLES[options.format ?? 'table'](variables), warnings: warnings.all };
};

const variablesJson = (variables: readonly Variable[]): string => {
  const record = Object.fromEntries(
    variables.map(({ name, defaultValue, presenceValue, required }) => [
      name,
      { Name: name, DefaultValue: defaultValue, PresenceValue: presenceValue, Required: required },
    ]),
  );
  return `${goJson(record, 4)}\n\n`;
};

/** As Go's YAML of a structure without tags: its names in lower case. */
const variablesYaml = (variables: readonly Variable[]): string =>
  lines(
    variables.flatMap(({ name, defaultValue, presenceValue, required }) => [
      `${emitText(name)}:`,
      `    name: ${emitText(name)}`,
      `    defaultvalue: ${emitText(defaultValue)}`,
      `    presencevalue: ${emitText(presenceValue)}`,
      `    required: ${required}`,
    ]),
  );

const variablesTable = (variables: readonly Variable[]): string => {
  const rows = [
    ['NAME', 'REQUIRED', 'DEFAULT VALUE', 'ALTERNATE VALUE'],
    ...variables.map(({ name, required, defaultValue, presenceValue }) => [name, String(required), defaultValue, presenceValue]),
  ];
  // As Go's tabwriter aligns them: cells of 20 characters or more, three blanks between them, the last one as it is.
  const widths = [0, 1, 2].map((column) => Math.max(20, ...rows.map((row) => [...(row[column] ?? '')].length + 3)));
  return lines(rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('')));
};

const VARIABLES: Readonly<Record<'table' | 'yaml' | 'json', (variables: readonly Variable[]) => string>> = {
  table: variablesTable,
  yaml: variablesYaml,
  json: variablesJson,
};

const renderExplanation = async (options: ConfigOptions, path: string): Promise<ConfigResult> => {
  const { tree, warnings, project, origins } = await loadProject({ ...options, allResources: true });
  const found = explain(tree, path, origins);
  const explanation = [...(found ?? []), ...(await explainEnvFiles(path, { tree, project, cwd: options.cwd }))];
  if (found === undefined && explanation.length === 0) {
    throw new HyprError('HYPR_USAGE', `nothing is set at ${path}`, { hint: 'paths look like services.web.image' });
  }
  return { stdout: lines(explanation), warnings };
};

const lines = (items: readonly string[]): string => items.map((item) => `${item}\n`).join('');
