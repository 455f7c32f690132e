const UPDATE = 'update is refused: a machine has its size and its restart policy from its creation on';

/** Differences that are meant, by the line of the day: what is not as docker's, and why. */
export const DECLARED: Readonly<Record<string, string>> = {
  'docker update --restart no day-made': UPDATE,
  "docker inspect -f '{{.HostConfig.RestartPolicy.Name}}' day-made": `${UPDATE}: it is still that of create`,
  'docker logs day-made': `${UPDATE}: it was started again`,
};
