import type { HyprError } from '../../base/errors.ts';
import type { Budget } from '../model/limits.ts';
import type { Warnings } from '../model/warnings.ts';
import type { Node, Path, ScalarNode, ScalarValue } from '../source/node.ts';
import { formatPath, PathTable } from '../source/path-table.ts';
import { errorAt } from '../source/source.ts';
import { type Lookup, substitute, TemplateError } from './template.ts';

/**
 * Fills variables into every string value (never into keys), then casts the values of typed places:
 * `privileged: ${P}` is a boolean.
 * @throws COMPOSE_INTERPOLATION with the place
 */
export const interpolate = (root: Node, options: { lookup: Lookup; warnings: Warnings; budget: Budget }): Node => {
  const visit = (node: Node, path: Path, casts: PathTable<Cast> | undefined): Node => {
    if (node.kind === 'map') {
      return { ...node, entries: new Map([...node.entries].map(([key, value]) => [key, visit(value, [...path, key], casts?.next(key))])) };
    }
    if (node.kind === 'list') {
      return { ...node, items: node.items.map((item, i) => visit(item, [...path, `[${i}]`], casts?.next('[]'))) };
    }
    return typeof node.value === 'string' ? fillScalar(node, node.value, path, casts?.value, options) : node;
  };
  return visit(root, [], CASTS);
};

type Cast = 'int' | 'float' | 'bool';

const fillScalar = (
  node: ScalarNode,
  text: string,
  path: Path,
  cast: Cast | undefined,
  options: { lookup: Lookup; warnings: Warnings; budget: Budget },
): ScalarNode => {
  if (cast === undefined && !text.includes('$')) {
    return node;
  }
  const filled = substituteAt(node, text, path, options);
  if (filled.length > text.length) {
    options.budget.countNode(node.mark, filled.length - text.length);
  }
  if (cast === undefined) {
    return { ...node, value: filled, template: text };
  }
  const template = text.includes('$') ? { template: text } : {};
  return {
    ...node,
    ...template,
    value: castText(filled, cast, node, path, options.warnings),
    ...(cast === 'float' ? { float: true } : {}),
  };
};

const substituteAt = (node: ScalarNode, text: string, path: Path, options: { lookup: Lookup; warnings: Warnings }): string => {
  try {
    return substitute(text, {
      lookup: options.lookup,
      onUnset: (name) =>
        options.warnings.add('unset-variable', `The "${name}" variable is not set. Defaulting to a blank string.`, node.mark),
    });
  } catch (error) {
    if (error instanceof TemplateError) {
      throw templateFailure(error, node, path);
    }
    throw error;
  }
};

const templateFailure = (error: TemplateError, node: ScalarNode, path: Path): HyprError => {
  const where = formatPath(path);
  if (error.kind === 'limit') {
    return errorAt('COMPOSE_LIMIT', `${where}: ${error.message}`, { mark: node.mark });
  }
  return errorAt('COMPOSE_INTERPOLATION', `${where}: ${error.message}`, {
    mark: node.mark,
    hint:
      error.kind === 'required'
        ? `set it in the environment or in .env: ${error.variable}=…`
        : 'a reference is ${NAME} or ${NAME:-default}; write $$ for a dollar sign',
  });
};

const castText = (text: string, cast: Cast, node: ScalarNode, path: Path, warnings: Warnings): ScalarValue => {
  const where = formatPath(path);
  if (cast === 'bool') {
    const lower = text.toLowerCase();
    if (lower === 'true' || lower === 'false') {
      return lower === 'true';
    }
    const value = OLD_BOOLEANS.get(lower);
    if (value !== undefined) {
      warnings.add('old-boolean', `"${text}" for boolean is not supported by YAML 1.2, please use \`${value}\``, node.mark);
      return value;
    }
  } else if (cast === 'int' ? /^[-+]?\d+$/.test(text) : /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text)) {
    return Number(text);
  }
  const wanted = cast === 'bool' ? 'true or false' : cast === 'int' ? 'a whole number' : 'a number';
  throw errorAt('COMPOSE_INTERPOLATION', `${where} must be ${wanted}, not "${text.slice(0, 60)}"`, { mark: node.mark });
};

const OLD_BOOLEANS = new Map([
  ...['y', 'yes', 'on'].map((text) => [text, true] as const),
  ...['n', 'no', 'off'].map((text) => [text, false] as const),
]);

const service = (paths: string, cast: Cast): Record<string, Cast> =>
  Object.fromEntries(paths.split(' ').map((path) => [`services.*.${path}`, cast]));
const resource = (paths: string): Record<string, Cast> => Object.fromEntries(paths.split(' ').map((path) => [path, 'bool']));

const CASTS = new PathTable<Cast>({
  ...service('cpu_count cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares oom_score_adj pids_limit scale', 'int'),
  ...service('deploy.replicas deploy.update_config.parallelism deploy.rollback_config.parallelism', 'int'),
  ...service('deploy.restart_policy.max_attempts deploy.placement.max_replicas_per_node healthcheck.retries', 'int'),
  ...service('ports.*.target ulimits.* ulimits.*.hard ulimits.*.soft', 'int'),
  ...service('cpu_percent cpus deploy.update_config.max_failure_ratio deploy.rollback_config.max_failure_ratio', 'float'),
  ...service('init depends_on.*.required depends_on.*.restart healthcheck.disable oom_kill_disable privileged', 'bool'),
  ...service('read_only stdin_open tty volumes.*.read_only volumes.*.volume.nocopy', 'bool'),
  ...resource('networks.*.external networks.*.internal networks.*.attachable networks.*.enable_ipv4 networks.*.enable_ipv6'),
  ...resource('volumes.*.external secrets.*.external configs.*.external'),
});
