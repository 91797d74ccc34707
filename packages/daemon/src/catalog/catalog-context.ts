import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { ErrorCode } from '@thaw/protocol/error-code.ts';
import type { Clock } from '../base/clock.ts';
import type { FunctionRecord } from '../model/function.ts';
import type { EventTrigger } from '../model/trigger.ts';
import type { Records, RecordWrite } from '../store/records.ts';
import type { AccountPlace } from './arn.ts';
import type { CodePackages } from './code-intake.ts';
import type { CatalogImages } from './container-image.ts';
import type { RouteKeeper } from './route-keeper.ts';
import type { RoutingTable } from './routing-table.ts';
import type { UnpackedCode } from './unpacked-code.ts';
import { FUNCTIONS } from './record-kinds.ts';

/** What the parts of the catalog share. */
export interface CatalogContext {
  readonly records: Records;
  readonly routes: RoutingTable;
  readonly keeper: RouteKeeper;
  readonly packages: CodePackages;
  readonly unpacked: UnpackedCode;
  /** Absent where the platform has no store of images. */
  readonly images: CatalogImages | undefined;
  readonly clock: Clock;
  readonly place: AccountPlace;
  /** Throws INVALID_ARGUMENT for a trigger whose configuration its source could not work with. */
  readonly checkTrigger: (trigger: EventTrigger) => void;
}

export interface StoredFunction {
  readonly record: FunctionRecord;
  /** Revision of the record in the store, for conditional writes. */
  readonly storeRevision: number;
}

export function readFunction(records: Records, functionName: string): StoredFunction | undefined {
  const stored = FUNCTIONS.get(records, functionName);
  return stored && { record: stored.value, storeRevision: stored.revision };
}

/** Throws FUNCTION_NOT_FOUND. */
export function requireFunction(records: Records, functionName: string): StoredFunction {
  const stored = readFunction(records, functionName);
  if (stored === undefined) {
    throw new ThawError('FUNCTION_NOT_FOUND', `function '${functionName}' does not exist`, {
      details: { function: functionName },
    });
  }
  return stored;
}

/** Writes all or nothing, and routes it before it returns. A lost race throws CONFLICT. */
export function write(context: CatalogContext, writes: readonly RecordWrite[]): void {
  context.records.batch(writes);
  for (const each of writes) context.keeper.refresh(each.key);
}

/** Like `write` for something new: a race that was lost means that another has made it, which is `code`. */
export function writeNew(
  context: CatalogContext,
  writes: readonly RecordWrite[],
  code: ErrorCode,
  message: string,
): void {
  try {
    write(context, writes);
  } catch (error) {
    if (error instanceof ThawError && error.code === 'CONFLICT') throw new ThawError(code, message);
    throw error;
  }
}

/** FC's time stamps: UTC in whole seconds. */
export function timeStamp(clock: Clock): string {
  return `${new Date(clock.now()).toISOString().slice(0, 19)}Z`;
}
