import { readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { loadProject } from '../../../compose/load/load.ts';
import { fetchComposeFile } from '../../../engine/artifacts/fetch-compose-file.ts';
import { findFile } from '../../../engine/artifacts/fetch-git.ts';
import { pushArtifact } from '../../../engine/artifacts/push-artifact.ts';
import { UploadRegistry } from '../../builder/registry/upload-registry.ts';
import { projectFolder } from '../../compose/project-folder.ts';

let registry: UploadRegistry;
beforeEach(async () => {
  vi.stubEnv('HYPR_HOME', await projectFolder({}));
  registry = await new UploadRegistry({}).start();
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await registry.close();
});

const { signal } = new AbortController();
const options = { insecure: [], env: {}, signal };

const FILES = [
  { kind: 'compose', name: 'compose.yaml', content: 'services:\n  a: {extends: {file: base.yaml, service: b}}\n' },
  { kind: 'compose', name: 'other.yaml', content: 'services:\n  a: {env_file: own.env}\n' },
  { kind: 'extended', name: 'base.yaml', content: 'services:\n  b: {image: x}\n' },
  { kind: 'env', name: 'own.env', content: 'OWN=1\n' },
] as const;

describe('a project in a registry', () => {
  test.each(['1.0', '1.1'] as const)('comes back with what belongs to it, in the form of OCI %s', async (ociVersion) => {
    const reference = `${registry.host}/shop:1`;
    await pushArtifact({ reference, files: FILES, ociVersion, insecure: [] }, signal);
    const cwd = await projectFolder({});
    const fetchFile = (text: string) => fetchComposeFile(text, options);
    const { project } = await loadProject({ cwd, env: {}, files: [`oci://${reference}`], fetchFile });
    expect(project.services).toMatchObject({ a: { image: 'x', environment: { OWN: '1' } } });
    // Relative paths start beside the copy, and its second fetch is the same file.
    expect(await fetchFile(`oci://${reference}`)).toBe(join(project.workingDir, 'compose.yaml'));
    const including = await projectFolder({ 'compose.yaml': `include: ["oci://${reference}"]\n` });
    expect((await loadProject({ cwd: including, env: {}, fetchFile })).project.services.a?.image).toBe('x');
  });

  test('has no file outside its folder', async () => {
    const reference = `${registry.host}/bad:1`;
    const files = [...FILES, { kind: 'env', name: '../../up.env', content: 'X=1\n' }] as const;
    await pushArtifact({ reference, files, ociVersion: undefined, insecure: [] }, signal);
    await expect(fetchComposeFile(`oci://${reference}`, options)).rejects.toMatchObject({ code: 'COMPOSE_INVALID' });
  });

  test('is not fetched where the switch of docker compose says no, nor from other URLs', async () => {
    const env = { COMPOSE_EXPERIMENTAL_OCI_REMOTE: 'false' };
    await expect(fetchComposeFile('oci://x/y', { ...options, env })).rejects.toMatchObject({ code: 'HYPR_UNSUPPORTED' });
    await expect(fetchComposeFile('https://x/compose.yaml', options)).rejects.toMatchObject({ code: 'HYPR_UNSUPPORTED' });
    await expect(loadProject({ cwd: '/', env: {}, files: ['oci://x/y'] })).rejects.toMatchObject({ code: 'COMPOSE_INVALID' });
  });
});

describe('a project in a checkout', () => {
  test('is the file that is named, or the one of a usual name in the folder; never what a link leads to', async () => {
    const folder = await projectFolder({ 'sub/compose.yml': 'services: {}\n', 'other.yaml': 'services: {}\n' });
    await symlink('/etc/hostname', join(folder, 'link.yaml'));
    expect(await findFile(folder, 'sub', 'text')).toBe(join(folder, 'sub/compose.yml'));
    expect(await readFile(await findFile(folder, 'other.yaml', 'text'), 'utf8')).toBe('services: {}\n');
    await expect(findFile(folder, '', 'text')).rejects.toMatchObject({ code: 'COMPOSE_NOT_FOUND' });
    await expect(findFile(folder, 'link.yaml', 'text')).rejects.toMatchObject({ code: 'COMPOSE_INVALID' });
  });
});
