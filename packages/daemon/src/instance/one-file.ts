/** A module of our own by `require` of a string: the only way in which the shims name each other. */
const OWN_MODULE = /\brequire\('\.\/([\w-]+\.cjs)'\)/gu;

/**
 * CommonJS modules of one directory as one file, which takes the place of the first one: a start looks up, opens and
 * compiles one file instead of twenty. Each is evaluated when it is first asked for, once, as Node would.
 *
 * Throws where a module names one that is not there.
 */
export function oneFile(entry: string, sources: ReadonlyMap<string, string>): string {
  const bodies = new Map<string, string>();
  const names = new Set([entry]);
  for (const name of names) {
    const source = sources.get(name);
    if (source === undefined) throw new Error(`there is no module ${name}`);
    const body = source.replaceAll(OWN_MODULE, (_, other: string) => {
      names.add(other);
      return `$own('${other}')`;
    });
    bodies.set(name, body);
  }
  const modules = [...bodies].map(([name, body]) => `'${name}': function (module, exports) {${body}\n},\n`);
  return [
    "'use strict';\n",
    `const $modules = { __proto__: null,\n${modules.join('')}};\n`,
    'const $made = { __proto__: null };\n',
    'function $own(name) {\n',
    '  if ($made[name] !== undefined) return $made[name].exports;\n',
    '  const made = ($made[name] = { exports: {} });\n',
    '  $modules[name].call(made.exports, made, made.exports);\n',
    '  return made.exports;\n',
    '}\n',
    `$own('${entry}');\n`,
  ].join('');
}
