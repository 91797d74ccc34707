import type { ShimFamily } from '../../model/runnable.ts';

/**
 * Variables of a function that its runtime reads while it starts, before anybody knows whose it will be. What is set later
 * comes too late for them, so a function that has one starts ordinarily. When in doubt a name is here: too late would be
 * wrong, an ordinary start is only slower.
 */
const READ_BY_ALL = [
  // The loader and the C library.
  /^LD_/u,
  /^MALLOC_/u,
  /^GLIBC_/u,
  /^GCONV_PATH$/u,
  /^LOCPATH$/u,
  // Locale: encodings and the default of Intl are chosen once.
  /^LANG(UAGE)?$/u,
  /^LC_/u,
  /^OPENSSL_/u,
  /^SSL_CERT_/u,
];

const READ_BY: Record<ShimFamily, readonly RegExp[]> = {
  nodejs: [/^NODE_(?!ENV$|PATH$)/u, /^UV_/u, /^V8_/u, /^ICU_/u],
  // These two say what the shim does anyway. A directory of PYTHONPATH may hold a `sitecustomize`, which runs first of all.
  python3: [/^PYTHON(?!UNBUFFERED$|DONTWRITEBYTECODE$)/u],
  java: [/^_?JAVA_(TOOL_)?OPTIONS$/u, /^_JAVA_/u, /^JDK_JAVA_OPTIONS$/u],
};

/** The first of the variables that the runtime reads as it starts, or undefined. */
export function startupVariable(
  family: ShimFamily,
  environment: Readonly<Record<string, string>>,
): string | undefined {
  const patterns = [...READ_BY_ALL, ...READ_BY[family]];
  return Object.keys(environment).find((name) => patterns.some((pattern) => pattern.test(name)));
}
