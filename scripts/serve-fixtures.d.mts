export interface FixtureServer {
  readonly url: string;
  /** For HYPR_REGISTRY_MIRRORS. */
  readonly mirrors: string;
  close(): Promise<void>;
}
export function serveFixtures(names?: readonly string[]): Promise<FixtureServer>;
