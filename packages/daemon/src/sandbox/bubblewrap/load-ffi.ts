import type * as Ffi from 'node:ffi';

/** Throws where there is none: Node 26.0 has no such module, and it can be switched off. */
export function loadFfi(): typeof Ffi {
  const ffi: unknown = process.getBuiltinModule('node:ffi');
  if (!isFfi(ffi)) throw new Error('this Node has no node:ffi');
  return ffi;
}

function isFfi(module: unknown): module is typeof Ffi {
  return typeof module === 'object' && module !== null && 'dlopen' in module;
}
