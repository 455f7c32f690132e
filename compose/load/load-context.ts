import type { Budget } from '../model/limits.ts';
import type { Warnings } from '../model/warnings.ts';
import type { MapNode, Path } from '../source/node.ts';
import type { Mark, SourceFile } from '../source/source.ts';
import type { ParsedDocument } from '../yaml/parse.ts';

/** What all files of one load share. */
export interface LoadContext {
  readonly budget: Budget;
  readonly warnings: Warnings;
  readonly stdin: () => Promise<Uint8Array>;
  readonly signal: AbortSignal | undefined;
  readonly interpolate: boolean;
  /** What `extends` names, made ready, by the set that names it and the file. */
  /** Variables of included env files that secrets and configs are made of, by name. */
  readonly objectVariables: Map<string, string>;
  readonly extended: WeakMap<FileSet, Map<string, Promise<ExtendedFile>>>;
  readonly cache: Map<string, Promise<ParsedSource>>;
}

export interface ParsedSource {
  readonly source: SourceFile;
  readonly documents: readonly ParsedDocument[];
}

/** Files that make one model: the project's own, or those of one `include`. */
export interface FileSet {
  readonly files: readonly string[];
  /** Absolute folder that file references start from. */
  readonly folder: string;
  /** What paths in the model are prefixed with: the folder, or for an include its relative path. */
  readonly base: string;
  readonly environment: ReadonlyMap<string, string>;
  /** Files being included, outermost first, to detect cycles. */
  readonly including: readonly string[];
  readonly from?: Mark | undefined;
  readonly resolvePaths: boolean;
}

/** Services of a file that `extends` names, and what that file resets. */
export interface ExtendedFile {
  readonly services: MapNode | undefined;
  readonly resets: readonly Path[];
  readonly file: string;
}
