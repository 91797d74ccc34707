import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { CodeRef, Layer } from '../model/function.ts';
import type { Records } from '../store/records.ts';
import { parseLayerVersionArn } from './arn.ts';
import { LAYERS } from './record-kinds.ts';

/**
 * A layer version as it is kept. One that was deleted while functions still use it stays, hidden: those functions run
 * on, as in FC, and no other function can take it.
 */
export interface StoredLayer {
  readonly layer: Layer;
  readonly isDeleted: boolean;
}

export function readLayer(records: Records, layerName: string, version: number): StoredLayer | undefined {
  return LAYERS.get(records, layerName, String(version))?.value;
}

/**
 * The code of the layers that a function names, in its order. `alreadyBound` are ARNs that it had before: those may
 * have been deleted since. Throws LAYER_NOT_FOUND.
 */
export function requireLayerCode(
  records: Records,
  arns: readonly string[],
  alreadyBound: readonly string[],
): readonly CodeRef[] {
  return arns.map((arn) => {
    const name = parseLayerVersionArn(arn);
    const stored = name === undefined ? undefined : readLayer(records, name.layerName, name.version);
    if (stored === undefined || (stored.isDeleted && !alreadyBound.includes(arn))) {
      throw new ThawError('LAYER_NOT_FOUND', `layer version '${arn}' does not exist`, { details: { arn } });
    }
    return stored.layer.code;
  });
}
