import { sanitiseName } from '../../base/sanitise.ts';
import { isRemoteFile } from '../../compose/files/remote-file.ts';
import type { Variable } from '../../compose/interpolate/variables.ts';
import type { Project } from '../../compose/model/model.ts';
import type { Invocation } from '../core/command-spec.ts';
import { say } from '../core/output.ts';
import { projectEnv } from '../core/project.ts';
import { openAnswers } from '../core/prompt.ts';
import { formatTable } from '../format/table.ts';

/**
 * Before anything of a stack whose Compose file is remote is made (by `up`, `create`, `run`): says where its copy is, shows the variables of the file with their values,
 * and asks, as docker compose does. False: the user said no, which was acknowledged. `isAnswered`: by `--yes`, or nothing will be made; without a terminal a line of standard input does, and its end means yes.
 */
export const confirmRemoteStack = async (invocation: Invocation, project: Project, isAnswered: boolean): Promise<boolean> => {
  const { context, flags } = invocation;
  const main = flags.list('file')[0] ?? projectEnv(context, project).COMPOSE_FILE ?? '';
  if (!isRemoteFile(main)) {
    return true;
  }
  context.stdout.write(`Your compose stack "${main}" is stored in "${project.workingDir}"\n`);
  if (isAnswered) {
    return true;
  }
  const { variablesOf } = await import('../../compose/publish/file-variables.ts');
  const variables = await variablesOf(project.files, context.interrupts.signal);
  if (variables.length === 0) {
    return true;
  }
  context.stdout.write(`\nFound the following variables in configuration:\n`);
  context.stdout.write(formatTable([HEADER, ...variables.map((each) => rowOf(each, project.environment))], { minWidth: 0, padding: 3 }));
  const answers = openAnswers(context);
  try {
    const isWanted = await answers.ask('\nDo you want to proceed with these variables?', true);
    if (!isWanted) {
      say(context, 'operation cancelled by user');
    }
    return isWanted;
  } finally {
    answers.close();
  }
};

const HEADER = ['VARIABLE', 'VALUE', 'SOURCE', 'REQUIRED', 'DEFAULT'];

const rowOf = ({ name, defaultValue, required }: Variable, env: Project['environment']): string[] => {
  const own = env[name];
  const [value, source] =
    own !== undefined ? [own, 'environment'] : defaultValue === '' ? ['<unset>', 'none'] : [defaultValue, 'compose file'];
  return [name, sanitiseName(value ?? ''), source, required ? 'yes' : 'no', sanitiseName(defaultValue)];
};
