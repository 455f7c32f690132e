/** What goes wrong most often, each with what makes it happen. */
export interface Failure {
  /** Command lines of hypr; the last one is the one that fails. */
  readonly run: readonly string[];
  /** A single text is compose.yaml. */
  readonly files?: string | Readonly<Record<string, string>>;
  readonly env?: NodeJS.ProcessEnv;
  /** Made before: a port that somebody listens on, which stands in files and texts as PORT. */
  readonly takesPort?: boolean;
  /** Machines were started: they are taken down afterwards. */
  readonly starts?: boolean;
  /** Exit code, if it is not 1. */
  readonly code?: number;
}

const SLEEP = 'services:\n  web:\n    image: busybox\n    command: sleep 1000\n';
const web = (rest: string): string => `services:\n  web:\n    image: busybox\n${rest}`;
const builds = (dockerfile: string): Readonly<Record<string, string>> => ({
  'compose.yaml': 'services:\n  web:\n    build: .\n',
  Dockerfile: dockerfile,
});

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
  'a secret whose file is missing': {
    run: ['up -d'],
    files: `${web('    secrets: [pw]\n')}secrets: { pw: { file: ./pw.txt } }\n`,
  },
  'depends_on of a service that is not there': { run: ['up -d'], files: web('    depends_on: [db]\n') },
  'services that wait for each other': {
    run: ['up -d'],
    files: 'services:\n  a: { image: busybox, depends_on: [b] }\n  b: { image: busybox, depends_on: [a] }\n',
  },
  'an external volume that is missing': {
    run: ['up -d'],
    files: `${web('    volumes: ["data:/data"]\n')}volumes: { data: { external: true, name: nobodys-data } }\n`,
  },
  'an external network that is missing': {
    run: ['up -d'],
    files: `${web('    networks: [back]\n')}networks: { back: { external: true, name: nobodys-net } }\n`,
  },
  'a bind whose source is missing': {
    run: ['up -d'],
    files: web('    volumes: [{ type: bind, source: ./nope, target: /x, bind: { create_host_path: false } }]\n'),
  },
  'what a machine cannot have': { run: ['up -d'], files: web('    network_mode: host\n') },
  'an image that does not exist': { run: ['up -d'], files: 'services:\n  web:\n    image: busybox:no-such-tag\n' },
  'an image name that is none': { run: ['up -d'], files: 'services:\n  web:\n    image: "My Image"\n' },
  'a registry that does not answer': { run: ['up -d'], files: 'services:\n  web:\n    image: 127.0.0.1:1/app\n' },
  'a Dockerfile that is missing': { run: ['compose build'], files: 'services:\n  web:\n    build: .\n' },
  'a build folder that is missing': { run: ['compose build'], files: 'services:\n  web:\n    build: ./app\n' },
  'an instruction mistyped': { run: ['compose build'], files: builds('FROM busybox\nCOPPY . /app\n') },
  'COPY of what is not there': { run: ['compose build --progress plain'], files: builds('FROM busybox\nCOPY package.jsn /app/\n') },
  'a RUN that fails': {
    run: ['compose build --progress plain'],
    files: builds('FROM busybox\nRUN echo checking; cat /no/such/file\n'),
    starts: true,
  },
  'a port that is taken': { run: ['up -d'], files: web('    command: sleep 1000\n    ports: ["127.0.0.1:PORT:80"]\n'), takesPort: true },
  'exec where nothing runs': { run: ['compose exec -T web true'], files: SLEEP },
  'a Compose file that is named and missing': { run: ['-f prod.yaml up -d'], files: SLEEP },
  'a program that is not in the image': { run: ['up -d'], files: web('    command: nosuchprogram --serve\n'), starts: true },
  'a user that is not in the image': { run: ['up -d'], files: web('    command: sleep 1000\n    user: deploy\n'), starts: true },
  'a service that ends at once, waited for': {
    run: ['up -d --wait'],
    files: web(
      '    command: sh -c "echo cannot open the database >&2; sleep 1; exit 3"\n    healthcheck: { test: "false", interval: 1s, retries: 100 }\n',
    ),
    starts: true,
  },
  'a dependency that is unhealthy': {
    run: ['up -d'],
    files: `services:
  db:
    image: busybox
    command: sleep 1000
    healthcheck: { test: 'echo "role postgres does not exist"; exit 2', interval: 1s, retries: 1 }
  web:
    image: busybox
    depends_on: { db: { condition: service_healthy } }
`,
    starts: true,
  },
  'why it is not running': {
    run: ['up -d', 'compose wait web', 'why web'],
    files: web('    command: sh -c "echo cannot open the database >&2; exit 3"\n'),
    starts: true,
  },
  'exec of a program that is not there': { run: ['up -d', 'compose exec -T web bash'], files: SLEEP, starts: true },
  'a volume that is in use': {
    run: ['up -d', 'volume rm failures_data'],
    files: `${web('    command: sleep 1000\n    volumes: ["data:/data"]\n')}volumes: { data: {} }\n`,
    starts: true,
  },
  'the dashboard without a terminal': { run: ['up --ui'], files: SLEEP },
  'a setting mistyped': { run: ['settings set port auto'] },
  'a question without a terminal': { run: ['system prune'] },
};
