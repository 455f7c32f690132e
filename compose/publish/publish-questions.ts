import { basename, dirname } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { isRemoteFile } from '../files/remote-file.ts';
import type { LoadContext } from '../load/load-context.ts';
import { loadAlone, readParsed } from '../load/model-loader.ts';
import type { Project } from '../model/model.ts';
import { mapAt, type Node, stringOf, textOf } from '../source/node.ts';
import { errorAt } from '../source/source.ts';
import { rawContext } from './file-variables.ts';
import { type FoundSecret, findInText, findInValues } from './find-secrets.ts';
import { localFile, readText } from './publish-files.ts';
import { isLiteral, SUSPICIOUS_KEY } from './secret-kinds.ts';

/**
 * What has to be answered with yes before a project is published, in docker compose's words: bind mounts, credentials, env files and
 * literal values of suspicious variables (unless `withEnv`), literal configs.
 * @throws COMPOSE_INVALID for local includes, whose files would be missing, and for services that are only built
 */
export const publishQuestions = async (
  project: Project,
  { withEnv, signal }: { withEnv: boolean; signal: AbortSignal },
): Promise<string[]> => {
  refuseOnlyBuilt(project);
  const files = await readFiles(project, signal);
  return [
    ...askAboutBinds(project),
    ...(await askAboutSecrets(project, files)),
    ...(withEnv ? [] : askAboutEnvironment(files)),
    ...askAboutConfigs(files),
  ];
};

/** A Compose file as it is written: the project's, and those that are extended. */
interface RawFile {
  readonly model: Node;
}

const readFiles = async (project: Project, signal: AbortSignal): Promise<RawFile[]> => {
  const context = rawContext(signal);
  const found: RawFile[] = [];
  const seen = new Set<string>();
  const read = async (file: string, folder: string): Promise<void> => {
    if (seen.has(file)) {
      return;
    }
    seen.add(file);
    const set = { files: [file], folder, base: folder, environment: new Map<string, string>(), including: [], resolvePaths: true };
    await refuseLocalIncludes(file, context);
    const { model } = await loadAlone(file, set, context);
    found.push({ model });
    for (const service of mapAt(model, 'services')?.entries.values() ?? []) {
      const extended = stringOf(mapAt(service, 'extends')?.entries.get('file'));
      if (extended !== undefined && !isRemoteFile(extended)) {
        const path = localFile(extended, project.workingDir, project.environment);
        await read(path, dirname(path));
      }
    }
  };
  for (const file of project.files) {
    await read(file, project.workingDir);
  }
  return found;
};

const refuseLocalIncludes = async (file: string, context: LoadContext): Promise<void> => {
  for (const { root } of (await readParsed(file, context)).documents) {
    const include = root.kind === 'map' ? root.entries.get('include') : undefined;
    const paths = (node: Node | undefined): Node[] =>
      node === undefined
        ? []
        : node.kind === 'list'
          ? node.items.flatMap(paths)
          : node.kind === 'map'
            ? paths(node.entries.get('path'))
            : [node];
    const local = paths(include).find((node) => stringOf(node) !== undefined && !isRemoteFile(stringOf(node) ?? ''));
    if (local !== undefined) {
      throw errorAt('COMPOSE_INVALID', 'cannot publish compose file with local includes', {
        mark: local.mark,
        hint: `name it as one more file instead: -f ${basename(file)} -f ${stringOf(local)}`,
      });
    }
  }
};

const refuseOnlyBuilt = ({ services, disabledServices }: Project): void => {
  const built = Object.entries({ ...services, ...disabledServices }).flatMap(([name, { image, build }]) =>
    build !== undefined && image === undefined ? [name] : [],
  );
  if (built.length > 0) {
    throw new HyprError('COMPOSE_INVALID', 'your Compose stack cannot be published as it only contains a build section for service(s):', {
      details: built.map((name) => `- "${name}"`),
      path: ['services', built[0] ?? '', 'build'],
      hint: 'give each an image: that those who fetch the project can pull',
    });
  }
};

const askAboutBinds = ({ services }: Project): string[] => {
  const mounts = Object.entries(services).flatMap(([name, { volumes = [] }]) =>
    volumes.flatMap(({ type, source, target }) => (type === 'bind' ? [`${name}: ${source}:${target}`] : [])),
  );
  return mounts.length === 0
    ? []
    : [
        [
          'you are about to publish bind mounts declaration within your OCI artifact.',
          'only the bind mount declarations will be added to the OCI artifact (not content)',
          "please double check that you are not mounting potential user's sensitive directories or data",
          ...mounts,
          'Are you ok to publish these bind mount declarations?',
        ].join('\n'),
      ];
};

const askAboutSecrets = async (project: Project, files: readonly RawFile[]): Promise<string[]> => {
  const found: FoundSecret[] = files.flatMap(({ model }) => findInValues(flatten(model)));
  const envFiles = files.flatMap(({ model }) => envFilesOf(model).map((path) => localFile(path, project.workingDir, project.environment)));
  const objects = [...Object.values(project.configs), ...Object.values(project.secrets)].flatMap(({ file }) => (file ? [file] : []));
  for (const path of new Set([...envFiles, ...objects])) {
    found.push(...findInText((await readText(path)) ?? ''));
  }
  return found.length === 0
    ? []
    : [
        [
          'you are about to publish sensitive data within your OCI artifact.',
          'please double check that you are not leaking sensitive data',
          ...found.flatMap(({ type, key, value }) => [type, `${JSON.stringify(key)}: ${value}`]),
          'Are you ok to publish these sensitive data?',
        ].join('\n'),
      ];
};

/** Dotted path → text of every scalar. */
const flatten = (root: Node): Map<string, string> => {
  const values = new Map<string, string>();
  const visit = (node: Node, path: string): void => {
    if (node.kind === 'scalar') {
      values.set(path, textOf(node.value));
    } else if (/^services\.[^.]+\.environment$/.test(path)) {
      for (const [key, value] of variablesIn(node)) {
        values.set(`${path}.${key}`, value);
      }
    } else if (node.kind === 'list') {
      for (const [index, item] of node.items.entries()) {
        visit(item, `${path}[${index}]`);
      }
    } else {
      for (const [key, value] of node.entries) {
        visit(value, path === '' ? key : `${path}.${key}`);
      }
    }
  };
  visit(root, '');
  return values;
};

/** `environment` in either form; variables without a value are left out. */
const variablesIn = (node: Node | undefined): Array<[string, string]> => {
  if (node?.kind === 'map') {
    return [...node.entries].flatMap(([key, value]) =>
      value.kind === 'scalar' && value.value !== null ? [[key, textOf(value.value)]] : [],
    );
  }
  return (node?.kind === 'list' ? node.items : []).flatMap((item) => {
    const [key = '', ...rest] = (stringOf(item) ?? '').split('=');
    return rest.length === 0 ? [] : [[key, rest.join('=')]];
  });
};

const servicesOf = (model: Node): Array<[string, Node]> => [...(mapAt(model, 'services')?.entries ?? [])];

const envFilesOf = (model: Node): string[] =>
  servicesOf(model).flatMap(([, service]) => {
    const files = service.kind === 'map' ? service.entries.get('env_file') : undefined;
    return (files?.kind === 'list' ? files.items : []).flatMap((item) =>
      item.kind === 'map' ? (stringOf(item.entries.get('path')) ?? []) : (stringOf(item) ?? []),
    );
  });

const askAboutEnvironment = (files: readonly RawFile[]): string[] => {
  const services = new Map<string, { hasFile: boolean; keys: Set<string> }>();
  for (const { model } of files) {
    for (const [name, service] of servicesOf(model)) {
      const known = services.get(name) ?? { hasFile: false, keys: new Set<string>() };
      known.hasFile ||= service.kind === 'map' && service.entries.has('env_file');
      for (const [key, text] of variablesIn(service.kind === 'map' ? service.entries.get('environment') : undefined)) {
        if (SUSPICIOUS_KEY.test(key) && isLiteral(text)) {
          known.keys.add(key);
        }
      }
      services.set(name, known);
    }
  }
  const lines = [...services]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, { hasFile, keys }]) => [
      ...(hasFile ? [`  service "${name}": env_file declared`] : []),
      ...(keys.size > 0
        ? [
            `  service "${name}": literal value for ${[...keys]
              .sort()
              .map((key) => `"${key}"`)
              .join(', ')}`,
          ]
        : []),
    ]);
  return lines.length === 0
    ? []
    : [
        [
          'you are about to publish env-related declarations within your OCI artifact.',
          'env_file paths and literal values for sensitive-looking keys are embedded as-is in the published YAML;',
          'interpolated values like "${VAR}" are kept symbolic and have already been excluded.',
          ...lines,
          'Use --with-env to silence this prompt and always publish env declarations.',
          'Are you ok to publish these env declarations?',
        ].join('\n'),
      ];
};

const askAboutConfigs = (files: readonly RawFile[]): string[] => {
  const names = files.flatMap(({ model }) =>
    [...(mapAt(model, 'configs')?.entries ?? [])].flatMap(([name, config]) => {
      const content = config.kind === 'map' ? stringOf(config.entries.get('content')) : undefined;
      return content !== undefined && isLiteral(content) ? [name] : [];
    }),
  );
  return names.length === 0
    ? []
    : [
        [
          'you are about to publish literal inline config content within your OCI artifact.',
          ...[...new Set(names)].sort().map((name) => `  config "${name}"`),
          'Are you ok to publish these config contents?',
        ].join('\n'),
      ];
};
