import { bool, type FlagSpec, int, list, string } from '../core/flag-spec.ts';
import { ANSI_MODES, PROGRESS_MODES } from '../core/modes.ts';

/** docker compose's root flags. hypr takes them before and after the command. */
export const globalFlags: readonly FlagSpec[] = [
  list('f,file', 'Compose file (repeat to merge; "-" reads standard input)', { value: 'FILE' }),
  string('p,project-name', 'Name of the stack', { value: 'NAME' }),
  string('project-directory', 'Folder that relative paths start from', { value: 'DIR' }),
  list('profile', 'Profile to switch on (repeat; "*" is all)', { value: 'NAME' }),
  list('env-file', 'Environment file for ${VARIABLES}', { value: 'FILE' }),
  string('progress', 'Progress: auto, tty, plain, json, quiet', { value: 'MODE', words: PROGRESS_MODES }),
  string('ansi', 'Colours and cursor control: auto, never, always', { value: 'WHEN', words: ANSI_MODES }),
  bool('dry-run', 'Print what would be done, do nothing'),
  bool('compatibility', 'Names with "_" instead of "-", as in Compose v1'),
  bool('all-resources', 'Include resources that no service uses'),
  int('parallel', 'Build and pull at most this many images at a time (-1: no limit)', { value: 'N' }),
  string('workdir', 'Old name of --project-directory', { hidden: true }),
  bool('no-ansi', 'Old form of --ansi never', { hidden: true }),
  bool('verbose', 'More output', { hidden: true }),
  list('insecure-registry', 'Registry without TLS, for -f oci://…', { hidden: true, value: 'HOST' }),
];
