import type { FunctionAnswer, TagAnswer } from '../api/wire.ts';
import { CONFIG_PROPS, type Fc3Props } from '../s-yaml/fc3-props.ts';

/** One thing that a deployment changes. `from` is undefined where there was nothing. */
export interface Change {
  readonly field: string;
  readonly from?: unknown;
  readonly to: unknown;
}

/** The custom and hot runtimes find their code by a command, not by a handler; the API wants a handler all the same. */
export const HANDLER_DEFAULT = 'index.handler';

/** Objects whose every key the file decides: a key that is only on the platform is a difference. */
const WHOLE_OBJECTS: ReadonlySet<string> = new Set(['environmentVariables', 'instanceLifecycleConfig']);

/** The body of CreateFunction and UpdateFunction, but for the code. */
export function functionConfig(props: Fc3Props): Record<string, unknown> {
  const config: Record<string, unknown> = { functionName: props.functionName };
  for (const name of CONFIG_PROPS) {
    const value: unknown = props[name];
    if (value !== undefined && value !== 'auto') config[name] = value;
  }
  if (/^(?:custom|hot)/u.test(props.runtime)) config['handler'] ??= HANDLER_DEFAULT;
  return config;
}

/** What differs between the wanted configuration and the platform's, field by field. */
export function configChanges(wanted: Readonly<Record<string, unknown>>, actual: FunctionAnswer): Change[] {
  const changes: Change[] = [];
  for (const [field, to] of Object.entries(wanted)) {
    const from = field === 'layers' ? (actual.layers ?? []).map(layerArn) : actual[field];
    if (WHOLE_OBJECTS.has(field)) changes.push(...keyChanges(field, to, from));
    else if (!isSatisfiedBy(to, from)) changes.push({ field, from, to });
  }
  return changes;
}

/**
 * Whether `actual` is what `wanted` asks for. The platform fills defaults in, so keys that only it has do not count;
 * nothing, `{}`, `[]` and `''` are the same.
 */
export function isSatisfiedBy(wanted: unknown, actual: unknown): boolean {
  if (isEmpty(wanted) && isEmpty(actual)) return true;
  if (Array.isArray(wanted)) {
    if (!Array.isArray(actual) || wanted.length !== actual.length) return false;
    return wanted.every((item, index) => isSatisfiedBy(item, actual[index]));
  }
  if (isObject(wanted)) {
    return isObject(actual) && Object.keys(wanted).every((key) => isSatisfiedBy(wanted[key], actual[key]));
  }
  return Object.is(wanted, actual);
}

/** Tags by key, whatever the case of the fields that hold them. */
export function tagMap(tags: readonly TagAnswer[]): Map<string, string> {
  return new Map(tags.map((tag) => [tag.Key ?? tag.key ?? '', tag.Value ?? tag.value ?? '']));
}

function keyChanges(field: string, wanted: unknown, actual: unknown): Change[] {
  const to = isObject(wanted) ? wanted : {};
  const from = isObject(actual) ? actual : {};
  const keys = [...new Set([...Object.keys(from), ...Object.keys(to)])].toSorted();
  return keys
    .filter((key) => (key in to ? !isSatisfiedBy(to[key], from[key]) : !isEmpty(from[key])))
    .map((key) => ({ field: `${field}.${key}`, from: from[key], to: to[key] }));
}

function layerArn(layer: { readonly arn: string } | string): string {
  return typeof layer === 'string' ? layer : layer.arn;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true;
  if (Array.isArray(value)) return value.length === 0;
  return isObject(value) && Object.keys(value).length === 0;
}
