import type { Budget } from '../model/limits.ts';
import type { FetchFile } from '../model/options.ts';
import type { Warnings } from '../model/warnings.ts';
import type { MapNode, Path } from '../source/node.ts';
import type { Mark, SourceFile } from '../source/source.ts';
import type { ParsedDocument } from '../yaml/parse.ts';

/** State shared by all files of one load. */
export interface LoadContext {
  readonly budget: Budget;
  readonly warnings: Warnings;
  readonly stdin: () => Promise<Uint8Array>;
  readonly fetchFile: FetchFile | undefined;
  readonly signal: AbortSignal | undefined;
  readonly interpolate: boolean;
  /** False: the model may be anything that can be merged. */
  readonly validate: boolean;
  /** Variables of included env files that secrets and configs use, by name. */
  readonly objectVariables: Map<string, string>;
  /** Files that `extends` names, loaded, by the file set that names them and the path. */
  readonly extended: WeakMap<FileSet, Map<string, Promise<ExtendedFile>>>;
  readonly cache: Map<string, Promise<ParsedSource>>;
}

export interface ParsedSource {
  readonly source: SourceFile;
  readonly documents: readonly ParsedDocument[];
}

/** Files that are merged to one model: the project's own, or those of one `include`. */
export interface FileSet {
  readonly files: readonly string[];
  /** Absolute base folder of file references. */
  readonly folder: string;
  /** Prefix for paths in the model: the folder, or for an include its relative path. */
  readonly base: string;
  readonly environment: ReadonlyMap<string, string>;
  /** Files being included, outermost first, to detect cycles. */
  readonly including: readonly string[];
  readonly from?: Mark | undefined;
  readonly resolvePaths: boolean;
}

/** Services of a file that `extends` names, and the paths that the file resets. */
export interface ExtendedFile {
  readonly services: MapNode | undefined;
  readonly resets: readonly Path[];
  readonly file: string;
}
