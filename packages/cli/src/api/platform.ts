import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';

/** Where a platform answers and the key to it. */
export interface Platform {
  /** Without a trailing slash. */
  readonly url: string;
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
}

export interface PlatformSearch {
  readonly dataDir: string;
  /** The user named the data directory: then it wins over the environment. */
  readonly isDataDirGiven: boolean;
  readonly environment: NodeJS.ProcessEnv;
}

/**
 * By `--data-dir`, else by `THAW_ENDPOINT`, else by the default data directory. Only reads files: whether something
 * answers there shows with the first request.
 */
export async function findPlatform(search: PlatformSearch): Promise<Platform> {
  const endpoint = search.environment['THAW_ENDPOINT'];
  if (endpoint !== undefined && endpoint !== '' && !search.isDataDirGiven) {
    return platformFromEnvironment(endpoint, search);
  }
  const daemon = await readJsonFile(join(search.dataDir, 'daemon.json'));
  const url = textField(daemon, 'url');
  if (url === undefined) {
    throw new ThawError(
      'PLATFORM_UNREACHABLE',
      `no platform runs with the data directory ${search.dataDir}`,
      {
        details: { advice: startAdvice(search) },
      },
    );
  }
  return { url: withoutTrailingSlash(url), ...(await requireCredentials(search.dataDir)) };
}

/** Whether the platform is on this machine, so that it can read the paths that we name. */
export function isLocalPlatform(platform: Platform): boolean {
  const host = new URL(platform.url).hostname;
  return host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || host.startsWith('127.');
}

async function platformFromEnvironment(endpoint: string, search: PlatformSearch): Promise<Platform> {
  const url = withoutTrailingSlash(endpoint.includes('://') ? endpoint : `http://${endpoint}`);
  if (!URL.canParse(url)) {
    throw new ThawError('INVALID_ARGUMENT', `THAW_ENDPOINT is not a URL: ${endpoint}`, {
      details: { advice: 'Set it to something like http://127.0.0.1:8080.' },
    });
  }
  const accessKeyId = search.environment['THAW_ACCESS_KEY_ID'] ?? '';
  const accessKeySecret = search.environment['THAW_ACCESS_KEY_SECRET'] ?? '';
  if (accessKeyId === '' || accessKeySecret === '') {
    throw new ThawError('SIGNATURE_MISSING', `THAW_ENDPOINT is set but the key for ${url} is not`, {
      details: { advice: 'Set THAW_ACCESS_KEY_ID and THAW_ACCESS_KEY_SECRET as well.' },
    });
  }
  return { url, accessKeyId, accessKeySecret };
}

async function requireCredentials(
  dataDir: string,
): Promise<{ readonly accessKeyId: string; readonly accessKeySecret: string }> {
  const path = join(dataDir, 'credentials.json');
  const credentials = await readJsonFile(path);
  const accessKeyId = textField(credentials, 'accessKeyId');
  const accessKeySecret = textField(credentials, 'accessKeySecret');
  if (accessKeyId === undefined || accessKeySecret === undefined) {
    throw new ThawError('SIGNATURE_MISSING', `${path} holds no access key`, {
      details: {
        advice: 'The platform writes it at its first start; start it again, or check the directory.',
      },
    });
  }
  return { accessKeyId, accessKeySecret };
}

/** The parsed file; undefined when it is not there. */
async function readJsonFile(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new ThawError('ACCESS_DENIED', `reading ${path}`, {
      cause: error,
      details: { advice: 'Run as the user that runs the platform, or use THAW_ENDPOINT and a key.' },
    });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ThawError('INVALID_JSON', `reading ${path}`, { cause: error });
  }
}

function textField(value: unknown, name: string): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const field: unknown = Reflect.get(value, name);
  return typeof field === 'string' && field !== '' ? field : undefined;
}

function startAdvice(search: PlatformSearch): string {
  const flag = search.isDataDirGiven ? ` --data-dir ${quoteForShell(search.dataDir)}` : '';
  return `Start one with \`thaw serve${flag}\`, or set THAW_ENDPOINT, THAW_ACCESS_KEY_ID and THAW_ACCESS_KEY_SECRET.`;
}

function quoteForShell(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function withoutTrailingSlash(url: string): string {
  return url.replace(/\/+$/, '');
}
