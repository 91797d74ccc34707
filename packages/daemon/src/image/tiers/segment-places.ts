/**
 * What the threads that answer reads need to know of the segments on disk, in memory that all of them share. A place is
 * one 32-bit number, segment and offset, so that it is read and replaced whole.
 *
 * A segment goes in this order: its places are taken back, then its readers are waited for, then its descriptor is
 * closed. A reader counts itself in first and looks at the place again after that. So no reader ever has a descriptor
 * that means another file by now.
 */
export const SLOTS = 4096;
const OFFSET_BITS = 20;
/** Chunks begin at multiples of this. */
export const PLACE_UNIT = 64;
export const SEGMENT_BYTES_MAX = 2 ** OFFSET_BITS * PLACE_UNIT;

export interface SegmentPlaces {
  /** By slot; 0: none. Slot 0 is never used, so that no place is 0. */
  readonly descriptors: Int32Array<SharedArrayBuffer>;
  readonly readers: Int32Array<SharedArrayBuffer>;
  /** Set by each read, cleared by the clock's hand. */
  readonly used: Int32Array<SharedArrayBuffer>;
}

export function newSegmentPlaces(): SegmentPlaces {
  const column = (): Int32Array<SharedArrayBuffer> => new Int32Array(new SharedArrayBuffer(SLOTS * 4));
  return { descriptors: column(), readers: column(), used: column() };
}

export function placeOf(slot: number, offset: number): number {
  return (slot << OFFSET_BITS) | (offset / PLACE_UNIT) | 0;
}

export function slotOf(place: number): number {
  return place >>> OFFSET_BITS;
}

export function offsetOf(place: number): number {
  return (place & (2 ** OFFSET_BITS - 1)) * PLACE_UNIT;
}
