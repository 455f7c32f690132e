export type Credentials = { readonly username: string; readonly password: string } | { readonly identityToken: string };

/** Mirrors and insecure registries, as one of the files or variables says them. */
export interface FoundSettings {
  readonly mirrors: ReadonlyArray<readonly [string, readonly string[]]>;
  readonly insecure: readonly string[];
}
