/** Marks of the OCI image layer specification: a name with this prefix hides the rest of the name in the layers below. */
export const WHITEOUT = '.wh.';

/** Hides everything that lower layers have in its folder. */
export const OPAQUE = '.wh..wh..opq';
