import type { Failure } from './tell-failure.ts';

const SLEEP = 'services:\n  web:\n    image: busybox\n    command: sleep 1000\n';
const web = (rest: string): string => `services:\n  web:\n    image: busybox\n${rest}`;

/** By what a person would call it. */
export const FAILURES: Readonly<Record<string, Failure>> = {
  'no Compose file here': { run: ['up'] },
  'a command mistyped': { run: ['pss'] },
  'a flag mistyped': { run: ['up --detatch'], files: SLEEP },
  'a flag with a wrong word': { run: ['up --progress foo'], files: SLEEP },
  'two flags that contradict each other': { run: ['up --build --no-build'], files: SLEEP },
  'a service mistyped': { run: ['logs wbe'], files: SLEEP },
  'a key mistyped': { run: ['up -d'], files: web('    comand: sleep 1\n') },
  'a tab in YAML': { run: ['up -d'], files: 'services:\n\tweb:\n\t\timage: busybox\n' },
  'indented wrongly': { run: ['up -d'], files: 'services:\n  web:\n    image: busybox\n   command: sleep 1\n' },
  'an empty file': { run: ['up -d'], files: '' },
  'neither image nor build': { run: ['up -d'], files: 'services:\n  web:\n    command: sleep 1\n' },
  'a volume that is not declared': { run: ['up -d'], files: web('    volumes: ["data:/data"]\n') },
  'a network that is not declared': { run: ['up -d'], files: web('    networks: [back]\n') },
  'a port out of range': { run: ['up -d'], files: web('    ports: ["99999:80"]\n') },
  'a variable that must be set': { run: ['up -d'], files: web('    environment: { PW: "${DB_PASSWORD:?put it into .env}" }\n') },
  'an env_file that is missing': { run: ['up -d'], files: web('    env_file: prod.env\n') },
  'depends_on of a service that is not there': { run: ['up -d'], files: web('    depends_on: [db]\n') },
  'services that wait for each other': {
    run: ['up -d'],
    files: 'services:\n  a: { image: busybox, depends_on: [b] }\n  b: { image: busybox, depends_on: [a] }\n',
  },
  'exec where nothing runs': { run: ['compose exec -T web true'], files: SLEEP },
  'a Compose file that is named and missing': { run: ['-f prod.yaml up -d'], files: SLEEP },
  'the dashboard without a terminal': { run: ['up --ui'], files: SLEEP },
  'a setting mistyped': { run: ['settings set port auto'] },
  'a question without a terminal': { run: ['system prune'] },
};
