import { ThawError } from '@thaw/protocol/thaw-error.ts';

/** Readers of option values: each gives the value or says what the option takes. */

const PORT_MAX = 65_535;
const STEMS_MAX = 32;
const NETWORKS_MAX = 256;
const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

export function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= PORT_MAX) return port;
  throw new ThawError('INVALID_ARGUMENT', `--port takes a number from 0 to ${PORT_MAX}, not '${text}'`);
}

/** `off` is 0. */
export function parseStems(text: string): number {
  return numberOrOff('--stems', text, STEMS_MAX);
}

/** `off` is 0. */
export function parseLoadAhead(text: string): number {
  return numberOrOff('--load-ahead', text, STEMS_MAX);
}

/** `off` is 0. */
export function parseSpareNetworks(text: string): number {
  return numberOrOff('--spare-networks', text, NETWORKS_MAX);
}

/** `off` is 0. */
export function parseIdleNetworks(text: string): number {
  return numberOrOff('--idle-networks', text, NETWORKS_MAX);
}

function numberOrOff(option: string, text: string, max: number): number {
  const number = text === 'off' ? 0 : Number(text);
  if (text === 'off' || (/^\d+$/.test(text) && number <= max)) return number;
  throw new ThawError(
    'INVALID_ARGUMENT',
    `${option} takes 'off' or a number from 0 to ${max}, not '${text}'`,
  );
}

/** `registry.local:5000,10.0.0.7`. */
export function parseHosts(text: string): string[] {
  const hosts = text.split(',').map((host) => host.trim());
  const wrong = hosts.find((host) => !/^[A-Za-z0-9.[\]:-]+$/.test(host));
  if (wrong === undefined) return hosts;
  throw new ThawError('INVALID_ARGUMENT', `'${wrong}' is no host, like registry.local:5000`);
}

/** `10m`, `1.5h`, `30s`, `250ms`, `2d`; a bare number is seconds. */
export function parseDurationMs(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
  const factor = DURATION_UNITS_MS[match?.[2] ?? 's'];
  if (match?.[1] !== undefined && factor !== undefined) return Number(match[1]) * factor;
  throw new ThawError('INVALID_ARGUMENT', `a duration is written like 30s, 10m or 2h, not '${text}'`);
}

const BYTE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  K: 1024,
  M: 1024 ** 2,
  G: 1024 ** 3,
  T: 1024 ** 4,
};

/** `500M`, `10G`, `1.5GiB`, `10GB`: powers of 1024; a bare number is bytes. */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(text);
  const factor = BYTE_UNITS[(match?.[2] ?? '').toUpperCase()];
  if (match?.[1] !== undefined && factor !== undefined) return Math.floor(Number(match[1]) * factor);
  throw new ThawError('INVALID_ARGUMENT', `a size is written like 500M or 10G, not '${text}'`);
}

/** As `parseBytes`; `off` is 0. */
export function parseBytesOrOff(text: string): number {
  return text === 'off' ? 0 : parseBytes(text);
}

export function parseCount(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count > 0 && Number.isSafeInteger(count)) return count;
  throw new ThawError('INVALID_ARGUMENT', `a count is a whole number from 1, not '${text}'`);
}

/** `3=0.2,4=0.1`: shares of traffic by version. */
export function parseWeights(texts: readonly string[]): Record<string, number> {
  const weights: Record<string, number> = {};
  for (const text of texts.flatMap((each) => each.split(','))) {
    const [version = '', share = ''] = text.split('=');
    const weight = Number(share);
    if (!/^[1-9]\d*$/.test(version) || share === '' || !(weight >= 0 && weight <= 1)) {
      throw new ThawError(
        'INVALID_ARGUMENT',
        `--weight takes VERSION=SHARE with a share from 0 to 1, not '${text}'`,
      );
    }
    weights[version] = weight;
  }
  return weights;
}
