import { HyprError } from '../../base/errors.ts';
import { ociDigest } from '../store/format/digest.ts';
import { openRepository, type Repository } from './client.ts';
import { openAccess, type RepositoryOptions } from './transport/access.ts';
import { refusal } from './transport/refusal.ts';
import { hasBlob, mountBlob, type UploadJob, type UploadResult, uploadBlob } from './upload.ts';

/** A repository to push to (distribution-spec "Push"). */
export interface PushTarget extends Repository {
  hasBlob(digest: string): Promise<boolean>;
  mountBlob(digest: string, from: string): Promise<boolean>;
  /** Sends a blob unless the repository has it or it can be mounted; resumes after a broken connection. */
  pushBlob(job: UploadJob): Promise<UploadResult>;
  /**
   * Puts a manifest or index under a tag or its own digest; everything it refers to must be in the registry already.
   * Returns its digest. Throws REGISTRY_ERROR if the registry stored something else.
   */
  pushManifest(tagOrDigest: string, manifest: { mediaType: string; bytes: Uint8Array }): Promise<string>;
}

export const openPushTarget = (input: RepositoryOptions): PushTarget => {
  const options: RepositoryOptions = { ...input, access: 'push' };
  const access = openAccess(options);
  return {
    ...openRepository(options),
    hasBlob: (digest) => hasBlob(access, options, digest),
    mountBlob: (digest, from) => mountBlob(access, options, { digest, from }),
    pushBlob: (job) => uploadBlob(access, options, job),
    pushManifest: async (tagOrDigest, { mediaType, bytes }) => {
      const headers = { 'content-type': mediaType };
      const response = await access({ path: `manifests/${tagOrDigest}`, method: 'PUT', headers, body: bytes, signal: options.signal });
      if (response.statusCode !== 201 && response.statusCode !== 200) {
        throw await refusal(response, { ...options, what: tagOrDigest });
      }
      await response.body.dump();
      const digest = ociDigest(bytes);
      const stored = response.headers['docker-content-digest'];
      if (typeof stored === 'string' && stored !== digest) {
        throw new HyprError('REGISTRY_ERROR', `${new URL(options.endpoint.url).host} stored the manifest ${digest} as ${stored}`);
      }
      return digest;
    },
  };
};
