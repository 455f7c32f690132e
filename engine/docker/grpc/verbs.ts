/** How a verb of the service Home is answered: by a route of the JSON API. */
export interface Verb {
  /** `METHOD /path/{param}`; the members named in the path are its, of a body or a query the others. */
  readonly route: string;
  /** Members that go into the query of a request that has a body. */
  readonly query?: readonly string[];
  /** Members that are there unless they are given. */
  readonly standard?: Readonly<Record<string, unknown>>;
  /** The lines are what a program wrote. */
  readonly isText?: boolean;
}

/** Verbs with one answer. */
export const UNARY = {
  createVM: { route: 'POST /machines', standard: { start: false } },
  startVM: { route: 'POST /machines/{id}/start' },
  stopVM: { route: 'POST /machines/{id}/stop', query: ['t', 'signal'] },
  deleteVM: { route: 'DELETE /machines/{id}' },
  listVms: { route: 'GET /machines' },
  getVM: { route: 'GET /machines/{id}' },
  exec: { route: 'POST /machines/{id}/exec' },
  listImages: { route: 'GET /images' },
  getImage: { route: 'GET /images/{name...}' },
  deleteImage: { route: 'DELETE /images/{name...}' },
  getImageHistory: { route: 'GET /images/{name...}/history' },
  destroyStack: { route: 'DELETE /stacks/{name}' },
  listStacks: { route: 'GET /stacks' },
  getStack: { route: 'GET /stacks/{name}' },
  createNetwork: { route: 'POST /networks' },
  deleteNetwork: { route: 'DELETE /networks/{id}' },
  listNetworks: { route: 'GET /networks' },
  getNetwork: { route: 'GET /networks/{id}' },
  createVolume: { route: 'POST /volumes' },
  deleteVolume: { route: 'DELETE /volumes/{name}' },
  listVolumes: { route: 'GET /volumes' },
  getVolume: { route: 'GET /volumes/{name}' },
  pruneVolumes: { route: 'POST /volumes/prune', query: ['filters'] },
  getSystemStats: { route: 'GET /system/df' },
  health: { route: 'GET /system/health' },
  getSettings: { route: 'GET /settings' },
  updateSettings: { route: 'PATCH /settings' },
} as const satisfies Record<string, Verb>;

/** Verbs whose answers come one after another. RunVM and BuildImage are made of these (home.ts). */
export const STREAMED = {
  streamVMMetrics: { route: 'GET /machines/{id}/stats' },
  streamLogs: { route: 'GET /machines/{id}/logs', isText: true },
  pullImage: { route: 'POST /images/pull', query: ['fromImage', 'tag', 'platform'] },
  deployStack: { route: 'POST /stacks' },
  streamStackServiceLogs: { route: 'GET /stacks/{name}/logs' },
  subscribeEvents: { route: 'GET /events' },
} as const satisfies Record<string, Verb>;
