import type { CommandSpec } from '../core/command-spec.ts';
import { bool, list, string } from '../core/flag-spec.ts';
import { OWN_CACHE } from './build.ts';

const composeBuild: CommandSpec = {
  name: 'build',
  usage: '[OPTIONS] [SERVICE...]',
  summary: 'Build the images of services',
  setsUp: true,
  flags: [
    list('build-arg', 'Value of an ARG', { value: 'KEY=VALUE' }),
    bool('no-cache', 'Build every step anew, without the cache'),
    bool('pull', 'Look for newer base images'),
    bool('with-dependencies', 'Build the images of dependencies as well'),
    bool('q,quiet', 'Print nothing'),
    bool('push', 'Push the images of services that name one'),
    bool('check', 'Check only', { refused: 'one Dockerfile at a time is checked, by: hypr build --check FOLDER' }),
    bool('print', 'Print a bake file of what would be built, and build nothing'),
    string('builder', 'Builder to use', { value: 'NAME', ignored: OWN_CACHE }),
    string('m,memory', 'Memory of a build machine (default 2g)', { value: 'BYTES' }),
    string('provenance', 'Attest how pushed images were made: true, false or mode=min', { value: 'MODE' }),
    string('sbom', 'Attestation', { value: 'MODE', hidden: true }),
    list('ssh', 'SSH agent or key for RUN --mount=type=ssh', { value: 'default|ID[=SOCKET|KEY]' }),
    bool('compress', '', { hidden: true, ignored: OWN_CACHE }),
    bool('force-rm', '', { hidden: true, ignored: OWN_CACHE }),
    bool('no-rm', '', { hidden: true, ignored: OWN_CACHE }),
  ],
  load: async () => (await import('../commands/build/build.ts')).runComposeBuild,
};

const composePull: CommandSpec = {
  name: 'pull',
  usage: '[OPTIONS] [SERVICE...]',
  summary: 'Pull the images of services',
  setsUp: true,
  flags: [
    bool('ignore-buildable', 'Leave out images that can be built'),
    bool('ignore-pull-failures', 'Go on when an image fails'),
    bool('include-deps', 'Include dependencies'),
    string('policy', 'missing or always', { value: 'WHEN' }),
    bool('q,quiet', 'No progress'),
  ],
  load: async () => (await import('../commands/pull.ts')).runComposePull,
};

const composePush: CommandSpec = {
  name: 'push',
  usage: '[OPTIONS] [SERVICE...]',
  summary: 'Push the images of services that are built',
  flags: [
    bool('ignore-push-failures', 'Go on when an image fails'),
    bool('include-deps', 'Include dependencies'),
    bool('q,quiet', 'No progress'),
  ],
  load: async () => (await import('../commands/push.ts')).runComposePush,
};

const composeImages: CommandSpec = {
  name: 'images',
  usage: '[OPTIONS] [SERVICE...]',
  summary: 'List the images that replicas were made from',
  flags: [string('format', 'table or json', { value: 'FORMAT' }), bool('q,quiet', 'Print ids only')],
  load: async () => (await import('../commands/compose-images.ts')).runComposeImages,
};

/** Commands that act on services of the Compose file as `hypr compose …`, and on images as `hypr …`. */
export const composeOnlyCommands: readonly CommandSpec[] = [composeBuild, composePull, composePush, composeImages];
