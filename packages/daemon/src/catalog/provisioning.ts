import type { ScheduledAction } from '@thaw/protocol/fc/provision.ts';
import type { Clock } from '../base/clock.ts';
import { LATEST } from '../model/function.ts';
import type { Provision, Scheduler } from '../scheduler/scheduler.ts';
import type { Records } from '../store/records.ts';
import { targetAt, type TargetNow } from './provision-schedule.ts';
import { CONCURRENCY, PROVISION_CONFIGS, SCALING_CONFIGS } from './record-kinds.ts';
import type { RoutingTable } from './routing-table.ts';

/** Schedules are looked at again this often at least: the wall clock may be set. */
const LOOK_MS_MAX = 10 * 60_000;

export interface ProvisioningDeps {
  readonly records: Records;
  readonly routes: RoutingTable;
  readonly scheduler: Pick<Scheduler, 'provision' | 'provisioned' | 'reserve' | 'adopt'>;
  readonly clock: Clock;
}

export interface ProvisionStatus {
  /** What the schedule says now. */
  readonly target: number;
  readonly current: number;
  /** Why there are fewer; empty while nothing stands in the way. */
  readonly currentError: string;
}

interface Wanted {
  readonly target: number;
  /** Undefined while the qualifier leads to nothing that can run. */
  readonly provision: Provision | undefined;
}

/**
 * Tells the scheduler what functions ask for beside their code: reserved concurrency and provisioned instances, each in
 * the version that its qualifier leads to now. `refresh` is called at every change; what a schedule changes comes by itself.
 */
export class Provisioning {
  readonly #deps: ProvisioningDeps;
  /** Functions with provisioned instances, by qualifier. */
  readonly #wanted = new Map<string, ReadonlyMap<string, Wanted>>();
  readonly #timers = new Map<string, NodeJS.Timeout>();

  constructor(deps: ProvisioningDeps) {
    this.#deps = deps;
  }

  /** Once, when everything stored is routed. */
  open(): void {
    const { records } = this.#deps;
    const prefixes = [CONCURRENCY, PROVISION_CONFIGS, SCALING_CONFIGS].map((kind) => kind.prefix);
    const keys = prefixes.flatMap((prefix) => records.list(prefix).map((record) => record.key));
    for (const functionName of new Set(keys.map(functionIn))) this.refresh(functionName);
  }

  close(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }

  /** Something of the function has changed: settings, a route, or what its schedule says. */
  refresh(functionName: string): void {
    const { records, routes, scheduler } = this.#deps;
    const latest = routes.find(functionName, LATEST, 0);
    if (typeof latest !== 'string') scheduler.adopt(latest);
    scheduler.reserve(functionName, CONCURRENCY.get(records, functionName)?.value.reservedConcurrency);

    const targets = this.#targets(functionName);
    clearTimeout(this.#timers.get(functionName));
    this.#timers.delete(functionName);
    if (targets.size === 0 && !this.#wanted.has(functionName)) return;
    const wanted = new Map<string, Wanted>();
    let changesAtMs = Infinity;
    for (const [qualifier, now] of targets) {
      // An alias is provisioned in its main version: 1 lies above every share.
      const runnable = routes.find(functionName, qualifier, 1);
      const provision = typeof runnable === 'string' ? undefined : { runnable, target: now.target };
      wanted.set(qualifier, { target: now.target, provision });
      changesAtMs = Math.min(changesAtMs, now.changesAtMs ?? Infinity);
    }
    if (wanted.size === 0) this.#wanted.delete(functionName);
    else this.#wanted.set(functionName, wanted);
    scheduler.provision(
      functionName,
      [...wanted.values()].flatMap(({ provision }) => (provision === undefined ? [] : [provision])),
    );
    if (changesAtMs !== Infinity) this.#lookAgain(functionName, changesAtMs);
  }

  status(functionName: string, qualifier: string): ProvisionStatus {
    const wanted = this.#wanted.get(functionName)?.get(qualifier);
    if (wanted === undefined) return { target: 0, current: 0, currentError: '' };
    const { target, provision } = wanted;
    if (provision === undefined) {
      const currentError = target === 0 ? '' : `'${qualifier}' leads to no version that can run now`;
      return { target, current: 0, currentError };
    }
    const { current, error = '' } = this.#deps.scheduler.provisioned(provision);
    return { target, current, currentError: error };
  }

  *statuses(): Iterable<ProvisionStatus & { readonly functionName: string; readonly qualifier: string }> {
    for (const [functionName, wanted] of this.#wanted) {
      for (const qualifier of wanted.keys()) {
        yield { functionName, qualifier, ...this.status(functionName, qualifier) };
      }
    }
  }

  /** By qualifier; where both kinds of setting ask for instances, the larger number is kept. */
  #targets(functionName: string): Map<string, TargetNow> {
    const { records, clock } = this.#deps;
    const nowMs = clock.now();
    const targets = new Map<string, TargetNow>();
    const add = (qualifier: string, count: number, actions: readonly ScheduledAction[] = []): void => {
      const known = targets.get(qualifier);
      const asked = targetAt(count, actions, nowMs);
      const changesAtMs = Math.min(known?.changesAtMs ?? Infinity, asked.changesAtMs ?? Infinity);
      targets.set(qualifier, {
        target: Math.max(known?.target ?? 0, asked.target),
        changesAtMs: changesAtMs === Infinity ? undefined : changesAtMs,
      });
    };
    for (const { value } of PROVISION_CONFIGS.list(records, `${functionName}/`)) {
      add(value.qualifier, value.settings.defaultTarget, value.settings.scheduledActions);
    }
    for (const { value } of SCALING_CONFIGS.list(records, `${functionName}/`)) {
      add(value.qualifier, value.settings.minInstances, value.settings.scheduledPolicies);
    }
    return targets;
  }

  /** A timer of its own and not the platform's wheel, which does not rest while it waits for something. */
  #lookAgain(functionName: string, atMs: number): void {
    const delayMs = Math.min(LOOK_MS_MAX, Math.max(1, atMs - this.#deps.clock.now()));
    const timer = setTimeout(() => this.refresh(functionName), delayMs);
    timer.unref();
    this.#timers.set(functionName, timer);
  }
}

function functionIn(key: string): string {
  return key.split('/')[1] ?? '';
}
