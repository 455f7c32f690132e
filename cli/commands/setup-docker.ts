import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { mkdir, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { readTextIfThere, writeFileAtomic } from '../../base/host/files.ts';
import { sanitiseText } from '../../base/sanitise.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import type { CliContext } from '../core/context.ts';
import { setupLinks, undoLinks } from './docker-links.ts';
import { setupUnits, undoUnits } from './docker-units.ts';

const NAME = 'hypr';
const DESCRIPTION = 'microVMs of hypr, while hypr serve runs';

/** `hypr setup --docker`: a context of docker's command line. Throws HYPR_USAGE where there is another one of that name. */
export const setupDocker: Handler = async ({ context, flags }) => {
  const { dockerSocket } = await import('../../engine/docker/serve.ts');
  const file = contextFile(context);
  const found = await readTextIfThere(file);
  if (found !== undefined && !isOwn(found)) {
    throw new HyprError('HYPR_USAGE', `docker has a context "${NAME}" already that is not hypr's`, {
      hint: `remove it first: docker context rm ${NAME}`,
    });
  }
  const shown = sanitiseText(file);
  const isDryRun = flags.bool('dry-run');
  const served = { program: ownProgram(), socket: dockerSocket() };
  if (isDryRun) {
    context.stdout.write(`would write ${shown}\n`);
    await setupUnits(context, served, isDryRun);
    await (flags.bool('links') ? setupLinks(context, served.program, isDryRun) : undefined);
    return 0;
  }
  // As docker's client makes it: passwords of registries are in there.
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await writeFileAtomic(file, contextOf(served.socket), 0o644);
  context.stdout.write(`${shown}\n`);
  await setupUnits(context, served, isDryRun);
  await (flags.bool('links') ? setupLinks(context, served.program, isDryRun) : undefined);
  context.stderr.write(`then: docker --context ${NAME} ps, or docker context use ${NAME}\n`);
  return 0;
};

/** bin/hypr beside the script that runs. */
const ownProgram = (): string => join(dirname(realpathSync(process.argv[1] ?? '')), '..', 'bin', 'hypr');

/** Removes units and links, and the context, if it is hypr's and docker's client does not use it: every `docker` would fail then. */
export const undoDocker = async ({ context, flags }: Pick<Invocation, 'context' | 'flags'>): Promise<void> => {
  await undoUnits(context, flags.bool('dry-run'));
  await undoLinks(context, flags.bool('dry-run'));
  const file = contextFile(context);
  const found = await readTextIfThere(file);
  if (found === undefined || !isOwn(found)) {
    return;
  }
  if (flags.bool('dry-run')) {
    context.stdout.write(`would remove ${sanitiseText(file)}\n`);
    return;
  }
  if ((await currentContext(context)) === NAME) {
    context.stderr.write(
      `docker uses the context ${NAME}, which stays. First: docker context use default; then again, or: docker context rm ${NAME}\n`,
    );
    return;
  }
  await rm(file);
  await rmdir(dirname(file)).catch(() => {});
  context.stdout.write(`removed ${sanitiseText(file)}\n`);
};

const currentContext = async (context: Pick<CliContext, 'env' | 'home'>): Promise<unknown> => {
  const text = await readTextIfThere(join(dockerFolder(context), 'config.json'));
  try {
    return (JSON.parse(text ?? '') as { currentContext?: unknown } | null)?.currentContext;
  } catch {
    return undefined;
  }
};

const dockerFolder = ({ env, home }: Pick<CliContext, 'env' | 'home'>): string => env.DOCKER_CONFIG || join(home, '.docker');

/** Where docker's client keeps a context: in a folder that is named by the digest of its name. */
const contextFile = (context: Pick<CliContext, 'env' | 'home'>): string => {
  const digest = createHash('sha256').update(NAME).digest('hex');
  return join(dockerFolder(context), 'contexts', 'meta', digest, 'meta.json');
};

const contextOf = (socket: string): string =>
  JSON.stringify({
    Name: NAME,
    Metadata: { Description: DESCRIPTION },
    Endpoints: { docker: { Host: `unix://${socket}`, SkipTLSVerify: false } },
  });

const isOwn = (text: string): boolean => {
  try {
    return (JSON.parse(text) as { Metadata?: { Description?: unknown } } | null)?.Metadata?.Description === DESCRIPTION;
  } catch {
    return false;
  }
};
