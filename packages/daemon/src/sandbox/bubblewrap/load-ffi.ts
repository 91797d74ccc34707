import type * as Ffi from 'node:ffi';
import { getSystemErrorName } from 'node:util';

/** Throws where there is none: Node 26.0 has no such module, and it can be switched off. */
export function loadFfi(): typeof Ffi {
  const ffi: unknown = process.getBuiltinModule('node:ffi');
  if (!isFfi(ffi)) throw new Error('this Node has no node:ffi');
  return ffi;
}

/** For calls that answer with less than zero where they fail: the result, or an error that names what was being done. */
export function openCheck(ffi: typeof Ffi): (result: number | bigint, what: string) => number {
  const { functions: c } = ffi.dlopen(null, { __errno_location: { arguments: [], return: 'pointer' } });
  return (result, what) => {
    if (result >= 0) return Number(result);
    // oxlint-disable-next-line no-underscore-dangle -- the C library names it so
    const error = ffi.getInt32(c.__errno_location());
    throw new Error(`${what}: ${getSystemErrorName(-error)}`);
  };
}

function isFfi(module: unknown): module is typeof Ffi {
  return typeof module === 'object' && module !== null && 'dlopen' in module;
}
