import type { PublishedFile } from '../../compose/publish/publish-files.ts';

export interface PublishRequest {
  readonly reference: string;
  readonly files: readonly PublishedFile[];
  /** `1.0` for registries that know no artifact types; undefined: 1.1, and 1.0 where that is refused. */
  readonly ociVersion: '1.0' | '1.1' | undefined;
  /** Registries that may be asked over plain HTTP. */
  readonly insecure: readonly string[];
}

export interface FetchFileOptions {
  readonly insecure: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}
