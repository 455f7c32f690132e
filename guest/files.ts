export interface FileSpec {
  readonly path: string;
  readonly content: Uint8Array;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** A read-only bind mount of a file: writing to it fails with EROFS. */
  readonly readOnly?: true;
  /**
   * Added at the end of the file that the root has at this path, in its writable layer, unless that holds the content already. Nothing is
   * done where there is no such file or something is mounted there.
   */
  readonly append?: true;
}

/**
 * What one program of a build machine has mounted, in its own mount namespace: it disappears with the program and is
 * part of no layer. Applied in the given order. Folders and disks come from `stageFolder` and from plugged-in disks.
 */
export type StepMount =
  /** The folder `_data` of an ext4 disk, made on first use: empty, or as a copy of `seed`. */
  | {
      readonly kind: 'cache';
      readonly target: string;
      readonly disk: string;
      readonly readOnly: boolean;
      readonly mode?: number;
      readonly uid?: number;
      readonly gid?: number;
      readonly seed?: StepContent;
    }
  /** When `readOnly` is false, writes go to a scratch folder. */
  | { readonly kind: 'bind'; readonly target: string; readonly content: StepContent; readonly readOnly: boolean }
  | { readonly kind: 'tmpfs'; readonly target: string; readonly size?: number }
  | ({ readonly kind: 'file'; readonly target: string } & Omit<FileSpec, 'path'>)
  /** A socket of `relay`. */
  | { readonly kind: 'socket'; readonly target: string; readonly name: string };

/** A path in a staged folder or on a read-only erofs disk. */
export type StepContent = { readonly path: string } & ({ readonly staged: string } | { readonly disk: string });
