import type { EngineApi } from './model/types.ts';

/**
 * What the CLI is given. A command that only talks to a stack's supervisor loads none of what builds and
 * pulls: that is most of the engine, and a third of a second of a processor.
 */

export const openStack: EngineApi['openStack'] = async ({ name, onNotice }) => {
  const { StackClient } = await import('./client/stack-client.ts');
  return new StackClient(name, onNotice ?? (() => {}));
};

export const listStacks: EngineApi['listStacks'] = async (options) => (await import('./client/list-stacks.ts')).listStacks(options);

export const openObjects: EngineApi['openObjects'] = async () => (await import('./client/objects.ts')).openObjects();

export const listUrls: EngineApi['listUrls'] = async (stack, signal) => (await import('./edge/find-url.ts')).listUrls(stack, signal);

export const findUrl: EngineApi['findUrl'] = async (request, signal) => (await import('./edge/find-url.ts')).findUrl(request, signal);

export const edgeStatus: EngineApi['edgeStatus'] = async (signal) => (await import('./edge/info.ts')).askEdge(signal);

export const serveNames: EngineApi['serveNames'] = async (...args) => (await import('./edge/serve-names.ts')).serveNames(...args);

export const listNames: EngineApi['listNames'] = async (...args) => (await import('./names/list-names.ts')).listNames(...args);

export const serveDns: EngineApi['serveDns'] = async (...args) => (await import('./names/serve-dns.ts')).serveDnsAlone(...args);

export const serveDocker: EngineApi['serveDocker'] = async (...args) => (await import('./docker/serve.ts')).serveDocker(...args);

const whole = () => import('./client/whole-engine.ts');

export const openImages: EngineApi['openImages'] = async (...args) => (await whole()).openImages(...args);

export const resolveDigest: EngineApi['resolveDigest'] = async (...args) => (await whole()).resolveDigest(...args);

export const buildProject: EngineApi['buildProject'] = async (...args) => (await whole()).buildProject(...args);

export const pushProject: EngineApi['pushProject'] = async (...args) => (await whole()).pushProject(...args);

export const pushArtifact: EngineApi['pushArtifact'] = async (...args) =>
  (await import('./artifacts/push-artifact.ts')).pushArtifact(...args);

export const fetchComposeFile: EngineApi['fetchComposeFile'] = async (...args) =>
  (await import('./artifacts/fetch-compose-file.ts')).fetchComposeFile(...args);

export const registryLogins: EngineApi['registryLogins'] = async (...args) => (await whole()).registryLogins(...args);

export const pullProject: EngineApi['pullProject'] = async (...args) => (await whole()).pullProject(...args);

export const setup: EngineApi['setup'] = async (...args) => (await whole()).setup(...args);

export const isSetUp: EngineApi['isSetUp'] = async () => (await import('../vmm/toolchain/is-set-up.ts')).isSetUp();

export const homeContent: EngineApi['homeContent'] = async () => (await import('./trust/remove-home.ts')).homeContent();

export const removeHome: EngineApi['removeHome'] = async () => (await import('./trust/remove-home.ts')).removeHome();

export const bundle: EngineApi['bundle'] = async (...args) => (await whole()).bundle(...args);

export const doctor: EngineApi['doctor'] = async (...args) => (await whole()).doctor(...args);

export const openTrust: EngineApi['openTrust'] = async (...args) => (await import('./trust/trust.ts')).openTrust(...args);

export const systemDf: EngineApi['systemDf'] = async (...args) => (await whole()).systemDf(...args);

export const systemUsage: EngineApi['systemUsage'] = async () => (await import('./client/usage-details.ts')).measureDetails();

export const prune: EngineApi['prune'] = async (...args) => (await whole()).prune(...args);

export const listCards: EngineApi['listCards'] = async () => (await import('./client/list-cards.ts')).listCards();

export const checkHome: EngineApi['checkHome'] = async (...args) => (await import('./client/check-home.ts')).checkHome(...args);

export const repairHome: EngineApi['repairHome'] = async (...args) => (await import('./client/check-home.ts')).repairHome(...args);

export const packFiles: EngineApi['packFiles'] = async function* (...args) {
  const { packFiles: pack } = await import('./client/files/pack-files.ts');
  yield* pack(...args);
};

export const unpackFiles: EngineApi['unpackFiles'] = async (...args) =>
  (await import('./client/files/unpack-files.ts')).unpackFiles(...args);

export const statTar: EngineApi['statTar'] = async (...args) => (await import('./client/files/stat-path.ts')).statTar(...args);

export const watch: EngineApi['watch'] = async (...args) => (await import('./client/watch.ts')).watchProject(...args);
