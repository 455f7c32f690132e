import { serviceConfigHash } from '../../compose/config/config-hash.ts';
import type { StackRow, VmRow } from './records.ts';

/** What docker compose writes on a container of a project, and hypr's machines have for whoever asks. */
export const projectLabels = (machine: {
  readonly stack: string;
  readonly service: string;
  readonly number: number;
  readonly oneOff: boolean;
  /** Undefined where the model of its service is not known any more. */
  readonly configHash: string | undefined;
}): Record<string, string> => ({
  ...(machine.configHash === undefined ? {} : { [`${PROJECT_LABELS}config-hash`]: machine.configHash }),
  [`${PROJECT_LABELS}container-number`]: String(machine.number),
  [`${PROJECT_LABELS}oneoff`]: machine.oneOff ? 'True' : 'False',
  [`${PROJECT_LABELS}project`]: machine.stack,
  [`${PROJECT_LABELS}service`]: machine.service,
});

/** What docker compose's labels begin with. */
export const PROJECT_LABELS = 'com.docker.compose.';

/** Those that `projectLabels` gives. */
export const OWN_LABELS: ReadonlySet<string> = new Set(
  ['config-hash', 'container-number', 'oneoff', 'project', 'service'].map((name) => `${PROJECT_LABELS}${name}`),
);

/** Whether a machine was made alone, by `run` or docker's API, and is part of no Compose file. */
export const isStandalone = (stack: StackRow | undefined, vm: Pick<VmRow, 'oneOff'>): boolean =>
  stack !== undefined && stack.files.length === 0 && Object.keys(stack.project.services).length === 1 && !vm.oneOff;

/** docker compose's hash of a service, as `config --hash` prints it; undefined where the model is not known any more. */
export const composeHash = (stack: StackRow | undefined, service: string): string | undefined => {
  const model = stack?.project.services[service];
  return model && serviceConfigHash(model);
};
