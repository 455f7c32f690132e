export type Credentials = { readonly username: string; readonly password: string } | { readonly identityToken: string };

/** Mirrors and insecure registries from one file or variable. */
export interface FoundSettings {
  readonly mirrors: ReadonlyArray<readonly [string, readonly string[]]>;
  readonly insecure: readonly string[];
}
