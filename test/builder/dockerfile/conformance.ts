import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** BuildKit's own test data; not part of this project, so tests that use it skip when it is absent. */
export const CONFORMANCE = process.env.HYPR_CONFORMANCE ?? join(import.meta.dirname, '../../../../shared/conformance');
export const DOCKERFILES = join(CONFORMANCE, 'dockerfile');
export const hasConformance = existsSync(DOCKERFILES);
