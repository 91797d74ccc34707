/**
 * What makes Thaw faster and can be switched off: by its name, the options of `thaw serve` that have it do without. The table
 * in docs/ARCHITECTURE.md, "Switched off", says what each one is.
 */
const WITHOUT = {
  stems: ['--stems', 'off'],
  'load-ahead': ['--load-ahead', 'off'],
  'python-zygotes': ['--python-zygotes', 'off'],
  'sandbox-maker': ['--sandbox-maker', 'off'],
  prepare: ['--prepare', 'off'],
  'kernel-thread': ['--kernel-thread', 'off'],
  'spare-networks': ['--spare-networks', 'off'],
  'idle-networks': ['--idle-networks', 'off'],
  'small-requests': ['--small-requests', 'off'],
  'buffer-collection': ['--buffer-collection', 'off'],
  'keep-alive': ['--keep-alive', 'fixed'],
  'accept-first': ['--accept-first', 'off'],
  'lazy-images': ['--lazy-images', 'off'],
  'image-prefetch': ['--image-prefetch', 'off'],
} as const;

export type Mechanism = keyof typeof WITHOUT;

export const MECHANISMS: readonly Mechanism[] = Object.keys(WITHOUT).filter(isMechanism);

/** A variable of the run of the tests: names with commas between, or `all`. */
const VARIABLE = 'THAW_TEST_OFF';

/** The options of a platform without these. */
export function optionsWithout(mechanisms: readonly Mechanism[]): string[] {
  return mechanisms.flatMap((name) => WITHOUT[name]);
}

/** What this run of the tests does without; every test that says nothing of it itself runs so. */
export function switchedOff(): readonly Mechanism[] {
  const text = process.env[VARIABLE] ?? '';
  if (text === 'all') return MECHANISMS;
  return text.split(',').flatMap((part) => {
    const name = part.trim();
    if (name === '') return [];
    if (!isMechanism(name)) throw new Error(`${VARIABLE} knows no '${name}', only ${MECHANISMS.join(', ')}`);
    return [name];
  });
}

function isMechanism(name: string): name is Mechanism {
  return Object.hasOwn(WITHOUT, name);
}
