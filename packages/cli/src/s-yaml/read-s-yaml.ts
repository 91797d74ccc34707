import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { FilePosition } from './file-position.ts';
import { CONFIG_PROPS, fc3PropsSchema, UNAPPLIED_PROPS } from './fc3-props.ts';
import type { PreDeployAction, Project, Resource } from './resource.ts';
import { type Scope, substitute } from './variables.ts';

const DEFAULT_FILES = ['s.yaml', 's.yml'] as const;

const actionSchema = z.looseObject({ run: z.string().optional(), path: z.string().optional() });

const fileSchema = z.looseObject({
  edition: z.preprocess(String, z.string()).optional(),
  extend: z.undefined({ error: 'is not supported: merge the file it names into this one' }).optional(),
  vars: z.record(z.string(), z.unknown()).nullish(),
  template: z.record(z.string(), z.record(z.string(), z.unknown())).nullish(),
  resources: z.record(
    z.string(),
    z.looseObject({
      component: z.string(),
      props: z.record(z.string(), z.unknown()),
      extend: z.strictObject({ name: z.string(), ignore: z.array(z.string()).optional() }).optional(),
      actions: z.record(z.string(), z.unknown()).optional(),
    }),
  ),
});

type File = z.infer<typeof fileSchema>;
type RawResource = File['resources'][string];

/** `path` if given, else the `s.yaml` or `s.yml` of `directory`. */
export function findTemplate(path: string | undefined, directory: string): string {
  if (path !== undefined) return resolve(directory, path);
  const found = DEFAULT_FILES.map((name) => join(directory, name)).find((file) => existsSync(file));
  if (found !== undefined) return found;
  throw new ThawError('INVALID_ARGUMENT', `there is no s.yaml in ${directory}`, {
    details: { advice: 'Go to the directory that has one, or name it with -t.' },
  });
}

/** Reads and checks a Serverless Devs file. Every mistake names its place in the file. */
export async function readSYaml(file: string, environment: NodeJS.ProcessEnv): Promise<Project> {
  const lines = new LineCounter();
  const document = parseDocument(await readTemplate(file), {
    lineCounter: lines,
    merge: true,
    prettyErrors: false,
  });
  const position = new FilePosition(file, document, lines);
  const syntaxError = document.errors[0];
  if (syntaxError !== undefined) {
    const { line, col } = lines.linePos(syntaxError.pos[0]);
    throw new ThawError('INVALID_ARGUMENT', `${file}:${line}:${col}: ${syntaxError.message}`);
  }
  const parsed = check(fileSchema, document.toJS({ maxAliasCount: 100 }), [], position, 'the file');
  if (parsed.edition !== undefined && !parsed.edition.startsWith('3.')) {
    throw new ThawError(
      'INVALID_ARGUMENT',
      `${position.of(['edition'])}: edition ${parsed.edition} is not supported, only 3.0.0`,
    );
  }
  const directory = dirname(file);
  const scope: Scope = {
    directory,
    environment: { ...(await readDotEnv(directory)), ...environment },
    names: { vars: parsed.vars ?? {}, resources: parsed.resources },
  };
  const resources = Object.entries(parsed.resources).map(([name, raw]) =>
    readResource(name, raw, { parsed, scope, position }),
  );
  return { file, resources };
}

interface FileContext {
  readonly parsed: File;
  readonly scope: Scope;
  readonly position: FilePosition;
}

function readResource(name: string, raw: RawResource, file: FileContext): Resource {
  const { position } = file;
  const at = ['resources', name];
  // The version of the component (`fc3@0.1.0`) is of no matter here.
  const component = located([...at, 'component'], position, () => substitute(raw.component, file.scope));
  if (typeof component !== 'string' || component.split('@')[0] !== 'fc3') {
    throw new ThawError(
      'INVALID_ARGUMENT',
      `${position.of([...at, 'component'])}: the component of '${name}' is ${JSON.stringify(component)}, and only fc3 is supported`,
    );
  }
  const source = { ...templateProps(raw, file, at), ...raw.props };
  const scope: Scope = {
    ...file.scope,
    names: { ...file.scope.names, this: { name, component, props: source } },
  };
  const props: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(source)) {
    const replaced = located([...at, 'props', key], position, () => substitute(value, scope));
    if (replaced !== undefined && replaced !== null) props[key] = replaced;
  }
  const checked = check(fc3PropsSchema, props, [...at, 'props'], position, `resource '${name}'`);
  const code = typeof checked.code === 'string' ? checked.code : checked.code?.src;
  return {
    name,
    props: checked,
    codePath: code === undefined ? undefined : resolve(file.scope.directory, code),
    preDeploy: readPreDeploy(raw, scope, [...at, 'actions'], position),
    notes: notesOn(checked, raw),
  };
}

/** The part of `template` that the resource extends. */
function templateProps(
  raw: RawResource,
  file: FileContext,
  at: readonly string[],
): Readonly<Record<string, unknown>> {
  if (raw.extend === undefined) return {};
  const template = file.parsed.template?.[raw.extend.name];
  if (template === undefined) {
    throw new ThawError(
      'INVALID_ARGUMENT',
      `${file.position.of([...at, 'extend', 'name'])}: there is no template named '${raw.extend.name}'`,
    );
  }
  const ignored = new Set(raw.extend.ignore ?? []);
  return Object.fromEntries(Object.entries(template).filter(([key]) => !ignored.has(key)));
}

function readPreDeploy(
  raw: RawResource,
  scope: Scope,
  at: readonly string[],
  position: FilePosition,
): PreDeployAction[] {
  const actions = raw.actions?.['pre-deploy'];
  if (actions === undefined || actions === null) return [];
  const path = [...at, 'pre-deploy'];
  const replaced = located(path, position, () => substitute(actions, scope));
  return check(z.array(actionSchema), replaced, path, position, 'actions').flatMap((action) =>
    action.run === undefined
      ? []
      : [{ run: action.run, directory: resolve(scope.directory, action.path ?? '.') }],
  );
}

function notesOn(props: z.infer<typeof fc3PropsSchema>, raw: RawResource): string[] {
  const notes = UNAPPLIED_PROPS.filter((name) => props[name] !== undefined).map(
    (name) => `${name} has no effect on this platform`,
  );
  for (const name of CONFIG_PROPS) {
    if (name !== 'role' && props[name] === 'auto') notes.push(`${name}: auto makes nothing here`);
  }
  for (const [phase, actions] of Object.entries(raw.actions ?? {})) {
    if (phase !== 'pre-deploy') notes.push(`actions: ${phase} is not run`);
    else if (Array.isArray(actions) && actions.some((action) => !hasRun(action))) {
      notes.push('of actions: pre-deploy only `run` is done, not plugins or components');
    }
  }
  return notes;
}

function hasRun(action: unknown): boolean {
  return typeof action === 'object' && action !== null && 'run' in action;
}

async function readTemplate(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new ThawError('INVALID_ARGUMENT', `reading ${file}`, { cause: error });
  }
}

/** Variables of a `.env` beside the file; the process's own win. */
async function readDotEnv(directory: string): Promise<Record<string, string | undefined>> {
  const file = join(directory, '.env');
  return existsSync(file) ? { ...parseEnv(await readFile(file, 'utf8')) } : {};
}

/** Does `read` and puts the place in the file in front of what it complains about. */
function located<T>(path: readonly string[], position: FilePosition, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ThawError)) throw error;
    throw new ThawError(error.code, `${position.of(path)}: ${error.message}`, {
      cause: error.cause,
      details: error.details,
    });
  }
}

function check<T>(
  schema: z.ZodType<T>,
  value: unknown,
  at: readonly string[],
  position: FilePosition,
  what: string,
): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const lines = result.error.issues.map((issue) => {
    const path = [...at, ...issue.path];
    const key = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
    const place = position.of(key === undefined ? path : [...path, key]);
    const field = issue.path.length === 0 ? what : issue.path.join('.');
    return `${place}: ${field}: ${issue.message}`;
  });
  throw new ThawError('INVALID_ARGUMENT', lines.join('\n'), {
    details: { advice: `Correct ${basename(position.of([]))} and run the command again.` },
  });
}
