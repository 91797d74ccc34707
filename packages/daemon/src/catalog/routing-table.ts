import type { ErrorCode } from '@thaw/protocol/error-code.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { assertNever } from '../base/assert-never.ts';
import { LATEST, type Alias } from '../model/function.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import type { HttpTrigger, Trigger } from '../model/trigger.ts';
import { byCodeUnits } from './page.ts';

/** What a qualifier leads to now: something to run, or the code of the error that a caller gets. */
export type Resolution = RunnableVersion | Unresolved;

export type Unresolved = Extract<
  ErrorCode,
  'FUNCTION_NOT_FOUND' | 'FUNCTION_DISABLED' | 'VERSION_NOT_FOUND' | 'ALIAS_NOT_FOUND' | 'STORE_FAILED'
>;

interface AliasRoute {
  readonly versionId: string;
  /** Further versions by the upper end of their share: the first whose end lies above the random number is taken. */
  readonly shares: readonly { readonly versionId: string; readonly end: number }[];
}

interface FunctionRoute {
  /** False while only things that belong to a function are known and not the function itself. */
  exists: boolean;
  isDisabled: boolean;
  /** LATEST as it runs from a developer's directory; goes before the stored one. */
  live: RunnableVersion | undefined;
  readonly versions: Map<string, Resolution>;
  readonly aliases: Map<string, AliasRoute>;
  /** Those that requests come through; the others have sources of their own. */
  readonly triggers: Map<string, HttpTrigger>;
}

/**
 * Which code answers for a function and qualifier, in memory: the request path asks here and nowhere else. Every
 * question is a few map look-ups; records are turned into routes once, when they change.
 */
export class RoutingTable {
  readonly #routes = new Map<string, FunctionRoute>();
  /** Names of functions by their spelling in lower case. */
  readonly #namesByLabel = new Map<string, Set<string>>();
  #sortedNames: readonly string[] | undefined;

  /**
   * `random` is drawn from [0, 1) by the caller and picks the version behind a weighted alias. Throws
   * FUNCTION_NOT_FOUND, FUNCTION_DISABLED, VERSION_NOT_FOUND, ALIAS_NOT_FOUND, or STORE_FAILED while the code of the
   * version is not there.
   */
  resolve(functionName: string, qualifier: string | undefined, random: number): RunnableVersion {
    const resolution = this.find(functionName, qualifier, random);
    if (typeof resolution === 'string') throw unresolved(resolution, functionName, qualifier);
    return resolution;
  }

  /** Like `resolve`, with the error's code in place of an error. */
  find(functionName: string, qualifier: string | undefined, random: number): Resolution {
    const route = this.#routes.get(functionName);
    if (route === undefined || !route.exists) return 'FUNCTION_NOT_FOUND';
    if (route.isDisabled) return 'FUNCTION_DISABLED';
    if (qualifier === undefined || qualifier === '' || qualifier === LATEST) {
      return route.live ?? route.versions.get(LATEST) ?? 'VERSION_NOT_FOUND';
    }
    if (isVersionNumber(qualifier)) return route.versions.get(qualifier) ?? 'VERSION_NOT_FOUND';
    const alias = route.aliases.get(qualifier);
    if (alias === undefined) return 'ALIAS_NOT_FOUND';
    const versionId = pick(alias, random);
    if (versionId === LATEST && route.live !== undefined) return route.live;
    return route.versions.get(versionId) ?? 'VERSION_NOT_FOUND';
  }

  httpTrigger(functionName: string, triggerName: string): HttpTrigger | undefined {
    return this.#routes.get(functionName)?.triggers.get(triggerName);
  }

  /**
   * The HTTP trigger of a version or alias. Without a qualifier it is that of LATEST, or the only one there is: what a
   * request means that names the function alone.
   */
  httpTriggerOf(functionName: string, qualifier?: string): HttpTrigger | undefined {
    const triggers = this.#routes.get(functionName)?.triggers;
    if (triggers === undefined) return undefined;
    let only: HttpTrigger | undefined;
    for (const trigger of triggers.values()) {
      if (trigger.qualifier === (qualifier ?? LATEST)) return trigger;
      only = trigger;
    }
    return qualifier === undefined && triggers.size === 1 ? only : undefined;
  }

  /**
   * The HTTP trigger behind `<function>.localhost`. Host names know no case: of functions that differ in nothing else,
   * the one that is spelled as the host is found, else the one that was created first.
   */
  httpTriggerOfHost(functionLabel: string): HttpTrigger | undefined {
    const names = this.#namesByLabel.get(functionLabel.toLowerCase());
    if (names === undefined) return undefined;
    const [first] = names;
    const functionName = names.has(functionLabel) ? functionLabel : first;
    return functionName === undefined ? undefined : this.httpTriggerOf(functionName);
  }

  /** Throws FUNCTION_NOT_FOUND. */
  requireFunction(functionName: string): void {
    if (!this.has(functionName)) throw unresolved('FUNCTION_NOT_FOUND', functionName, undefined);
  }

  has(functionName: string): boolean {
    return this.#routes.get(functionName)?.exists === true;
  }

  /** All functions, sorted. */
  functionNames(): readonly string[] {
    this.#sortedNames ??= [...this.#routes]
      .flatMap(([name, route]) => (route.exists ? [name] : []))
      .toSorted(byCodeUnits);
    return this.#sortedNames;
  }

  setFunction(functionName: string, isDisabled: boolean): void {
    const route = this.#routeOf(functionName);
    if (!route.exists) {
      this.#sortedNames = undefined;
      const label = functionName.toLowerCase();
      const names = this.#namesByLabel.get(label);
      if (names === undefined) this.#namesByLabel.set(label, new Set([functionName]));
      else names.add(functionName);
    }
    route.exists = true;
    route.isDisabled = isDisabled;
  }

  removeFunction(functionName: string): void {
    const route = this.#routes.get(functionName);
    if (route === undefined) return;
    route.exists = false;
    route.versions.delete(LATEST);
    this.#sortedNames = undefined;
    const label = functionName.toLowerCase();
    const names = this.#namesByLabel.get(label);
    names?.delete(functionName);
    if (names?.size === 0) this.#namesByLabel.delete(label);
    this.#forgetWhenEmpty(functionName, route);
  }

  setVersion(functionName: string, versionId: string, resolution: Resolution): void {
    this.#routeOf(functionName).versions.set(versionId, resolution);
  }

  /** A version that exists but cannot run yet; nothing changes where one can. */
  announceVersion(functionName: string, versionId: string): void {
    const { versions } = this.#routeOf(functionName);
    if (!versions.has(versionId)) versions.set(versionId, 'STORE_FAILED');
  }

  removeVersion(functionName: string, versionId: string): void {
    this.#change(functionName, (route) => route.versions.delete(versionId));
  }

  setAlias(alias: Alias): void {
    let end = 0;
    const shares = Object.entries(alias.additionalVersionWeight).map(([versionId, share]) => {
      end += share;
      return { versionId, end };
    });
    this.#routeOf(alias.functionName).aliases.set(alias.aliasName, { versionId: alias.versionId, shares });
  }

  removeAlias(functionName: string, aliasName: string): void {
    this.#change(functionName, (route) => route.aliases.delete(aliasName));
  }

  setTrigger(trigger: Trigger): void {
    if (trigger.triggerType === 'http') {
      this.#routeOf(trigger.functionName).triggers.set(trigger.triggerName, trigger);
    } else this.removeTrigger(trigger.functionName, trigger.triggerName);
  }

  removeTrigger(functionName: string, triggerName: string): void {
    this.#change(functionName, (route) => route.triggers.delete(triggerName));
  }

  setLive(functionName: string, runnable: RunnableVersion | undefined): void {
    this.#change(functionName, (route) => {
      route.live = runnable;
    });
  }

  #routeOf(functionName: string): FunctionRoute {
    let route = this.#routes.get(functionName);
    if (route === undefined) {
      route = {
        exists: false,
        isDisabled: false,
        live: undefined,
        versions: new Map(),
        aliases: new Map(),
        triggers: new Map(),
      };
      this.#routes.set(functionName, route);
    }
    return route;
  }

  #change(functionName: string, change: (route: FunctionRoute) => void): void {
    const route = this.#routes.get(functionName);
    if (route === undefined) return;
    change(route);
    this.#forgetWhenEmpty(functionName, route);
  }

  #forgetWhenEmpty(functionName: string, route: FunctionRoute): void {
    if (route.exists || route.live !== undefined) return;
    if (route.versions.size + route.aliases.size + route.triggers.size === 0)
      this.#routes.delete(functionName);
  }
}

function pick(alias: AliasRoute, random: number): string {
  for (const share of alias.shares) if (random < share.end) return share.versionId;
  return alias.versionId;
}

function unresolved(code: Unresolved, functionName: string, qualifier: string | undefined): ThawError {
  const details = { function: functionName, qualifier: qualifier ?? LATEST };
  return new ThawError(code, unresolvedMessage(code, functionName, qualifier), { details });
}

function unresolvedMessage(code: Unresolved, functionName: string, qualifier: string | undefined): string {
  switch (code) {
    case 'FUNCTION_NOT_FOUND':
      return `function '${functionName}' does not exist`;
    case 'FUNCTION_DISABLED':
      return `function '${functionName}' is disabled: invocations are refused until it is enabled again`;
    case 'ALIAS_NOT_FOUND':
      return `alias '${qualifier}' of function '${functionName}' does not exist`;
    case 'VERSION_NOT_FOUND':
      return `version '${qualifier ?? LATEST}' of function '${functionName}' does not exist`;
    case 'STORE_FAILED':
      return `the code of function '${functionName}' (${qualifier ?? LATEST}) is not on this host`;
    default:
      return assertNever(code, 'resolution');
  }
}

export function isVersionNumber(qualifier: string): boolean {
  const first = qualifier.charCodeAt(0);
  return first >= 0x30 && first <= 0x39;
}
