import type { Host } from '../../../engine/docker/machines/host.ts';
import type { Image, ObjectApi, ReplicaDetail, VolumeDetail } from '../../../engine/model/types.ts';

/** A host with these objects, which are removed when they are asked to be. */
export class FakeHost {
  readonly volumes: VolumeDetail[];
  readonly replicas: ReplicaDetail[];
  readonly images: Image[];
  /** What was asked of it: the method and its arguments. */
  readonly asked: Array<readonly unknown[]> = [];

  constructor(own: { volumes?: VolumeDetail[]; replicas?: ReplicaDetail[]; images?: Image[] }) {
    this.volumes = own.volumes ?? [];
    this.replicas = own.replicas ?? [];
    this.images = own.images ?? [];
  }

  /** As the routes see it; what no test needs is not there. */
  get host(): Host {
    const objects: Partial<ObjectApi> = {
      volumes: () => this.volumes,
      replicas: (reference) => this.replicas.filter(({ status }) => reference === undefined || status.name === reference),
      removeVolume: async (name) => {
        this.asked.push(['removeVolume', name]);
      },
      updateReplica: async (...args) => {
        this.asked.push(['updateReplica', ...args]);
      },
      addFiles: async (id, files) => {
        this.asked.push(['addFiles', id, files.map(({ path, content }) => [path, Buffer.from(content).toString()])]);
      },
    };
    return {
      objects,
      events: { tell: () => {} },
      letGo: () => {},
      find: (name: string) => this.replicas.find(({ status }) => status.name === name),
      images: async () => ({ list: async () => this.images }),
    } as unknown as Host;
  }
}
