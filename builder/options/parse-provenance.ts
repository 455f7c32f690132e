import { HyprError } from '../../base/errors.ts';
import { parseFields, readBool, refuseUnknown } from './csv-fields.ts';

/** `--provenance` contains only what is safe to publish: base images and the Dockerfile's name, no build arguments, no names of secrets. */
export interface Provenance {
  readonly mode: 'min';
}

/** `false`, `true`, `mode=min` (also `max` as a word of its own). Throws HYPR_USAGE, HYPR_UNSUPPORTED. */
export const parseProvenance = (text: string | undefined): Provenance | undefined => {
  if (text === undefined || /^(false|0|f)$/i.test(text)) {
    return undefined;
  }
  const word = /^(true|1|t)$/i.test(text) ? 'mode=min' : text;
  const fields = parseFields(/^(min|max)$/.test(word) ? `mode=${word}` : word, '--provenance');
  refuseUnknown(fields, ['mode', 'disabled', 'type', 'inline-only', 'version', 'builder-id', 'reproducible'], '--provenance');
  if (readBool(fields, 'disabled', '--provenance')) {
    return undefined;
  }
  const mode = fields.get('mode') ?? 'min';
  const version = fields.get('version') ?? 'v0.2';
  if (mode !== 'min' || version !== 'v0.2') {
    throw new HyprError('HYPR_UNSUPPORTED', `--provenance ${text}: only mode=min and version v0.2 are supported`, {
      hint: 'use --provenance=mode=min, or leave it out',
    });
  }
  return { mode };
};
