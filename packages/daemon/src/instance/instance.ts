import { mkdir, rm } from 'node:fs/promises';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Clock } from '../base/clock.ts';
import type { DeadlineWheel } from '../base/deadline-wheel.ts';
import { MemberSet } from '../base/member-set.ts';
import type { ImageStore } from '../image/image-store.ts';
import type { RunnableVersion } from '../model/runnable.ts';
import type { Sandbox, SandboxDriver, SandboxExit } from '../sandbox/sandbox.ts';
import type {
  HookName,
  RuntimeConnection,
  RuntimeEvents,
  StartFailure,
} from '../transport/runtime-connection.ts';
import type { HandlerKind, InstanceRequest, LogSource } from '../transport/transport.ts';
import { createEndpoint } from './create-endpoint.ts';
import { Freezer } from './freezer.ts';
import { InstanceMeter, type MeteredInterval } from './instance-meter.ts';
import { runHook, type HookRun } from './run-hook.ts';
import { exitError, timeoutError } from './exit-error.ts';
import { InstanceCall, type CallOwner, type CallSink } from './instance-call.ts';
import { accessPort } from './access-endpoint.ts';
import type { InstanceAccess } from './instance-access.ts';
import { instanceFiles, type InstanceFiles } from './instance-layout.ts';
import { InstanceOutput } from './instance-output.ts';
import { inFlightOf, nextState, type InstanceEvent, type InstanceState } from './instance-state.ts';
import { InstanceRoot } from './instance-root.ts';
import type { Interpreter } from './interpreters.ts';
import type { RuntimeEndpoint } from './runtime-endpoint.ts';
import type { Shims } from './shims.ts';
import { StartPhases, type StartTimings } from './start-phases.ts';
import { isLostStem } from './stem/lost-stem.ts';
import { changeFor } from './stem/stem-kind.ts';
import type { StemOffer } from './stem/stem-pool.ts';
import type { Stem } from './stem/stem.ts';

/** Loading the code is given the function's own timeout, and at least this. */
const LOAD_MS_MIN = 10_000;
/** After the link was lost, processes get so long to end by themselves: how they do is what the caller is told. */
const EXIT_GRACE_MS = 1_000;
/** From the loss of the link until the kernel has reported the end of every process. */
const EXIT_MS_MAX = 10_000;
const MEMORY_SAMPLE_MS = 100;
/** Output that comes this long after an invocation's end still belongs to it. */
const LATE_OUTPUT_MS = 100;

export interface InstanceDeps {
  readonly clock: Clock;
  readonly wheel: DeadlineWheel;
  readonly driver: SandboxDriver;
  readonly interpreters: readonly Interpreter[];
  readonly runDirectory: string;
  readonly shims: Shims;
  /** Where functions in images have their files from; absent: there are no such functions. */
  readonly images?: Pick<ImageStore, 'mount'>;
  readonly log: (line: InstanceLog) => void;
  /** What an instance of this version may use of the platform, for as long as it lives; undefined: nothing. */
  readonly openAccess?: (runnable: RunnableVersion, instanceId: string) => InstanceAccess | undefined;
  /** A hook has ended; `requestId` is the invocation before it. */
  readonly onHook: (instance: Instance, run: HookRun, requestId: string) => void;
  /** A stretch of time in which the instance worked: overlapping requests and hooks once. */
  readonly onBilled: (instance: Instance, interval: MeteredInterval) => void;
}

export interface InstanceLog {
  readonly instance: Instance;
  /** Empty outside invocations. */
  readonly requestId: string;
  readonly source: LogSource | 'platform';
  /** One or several lines. */
  readonly text: string;
}

export type StartKind =
  | { readonly name: 'stem'; readonly isLoadedAhead: boolean }
  | { readonly name: 'cold'; readonly reason: string };

/** Told by one writer, in order, after the state has changed. */
export interface InstanceEvents {
  onChange(instance: Instance, from: InstanceState): void;
  /** Once, before the change to `draining`: the instance will never be ready. */
  onStartFailed(instance: Instance, error: ThawError): void;
}

/** One running copy of one function version: its sandbox, its link and its state, from the start to the last process's end. */
export class Instance {
  readonly id: string;
  readonly runnable: RunnableVersion;
  readonly startedAtMs: number;
  /** Invocations served so far; one that waited for the start finds 0. */
  served = 0;

  readonly #deps: InstanceDeps;
  readonly #offer: StemOffer;
  readonly #events: InstanceEvents;
  readonly #files: InstanceFiles;
  readonly #calls = new MemberSet<InstanceCall>();
  readonly #callOwner: CallOwner = {
    onLog: (call, source, text) => this.#log(call.requestId, source, text),
    onSettled: (call, isLastOfProcess) => this.#onSettled(call, isLastOfProcess),
    onBroken: (call, cause) => this.#onBroken(call, cause),
  };
  readonly #root = new InstanceRoot();
  readonly #phases: StartPhases;
  #output: InstanceOutput;
  readonly #stopped = Promise.withResolvers<void>();
  #state: InstanceState = { name: 'starting' };
  #startFailed = false;
  #killed = false;
  #isExiting = false;
  #sandbox: Sandbox | undefined;
  #endpoint: RuntimeEndpoint | undefined;
  #stem: Stem | undefined;
  /** The runtime has said something of the function. */
  #isHeard = false;
  #linkCause: unknown;
  #startKind: StartKind = { name: 'cold', reason: 'it has not been started' };
  #access: InstanceAccess | undefined;
  #lastRequest = { id: '', endedMs: 0 };
  #freezer: Freezer | undefined;
  /** Invocations that came while the instance was frozen, in their order. */
  #waitingForThaw: { readonly call: InstanceCall; readonly begin: () => void }[] = [];
  readonly #meter: InstanceMeter;
  #memorySample: { takenMs: number; bytes: number | undefined } = { takenMs: -Infinity, bytes: undefined };

  /** A stem that is offered is this instance's; its sandbox has the name of the instance, which is `id`. */
  constructor(
    deps: InstanceDeps,
    events: InstanceEvents,
    runnable: RunnableVersion,
    id: string,
    offer: StemOffer = { reason: 'there are no stems' },
  ) {
    this.#deps = deps;
    this.#offer = offer;
    this.#events = events;
    this.runnable = runnable;
    this.id = id;
    this.startedAtMs = deps.clock.now();
    this.#phases = new StartPhases(deps.clock, deps.wheel, (phase, timeoutMs) => {
      this.#failStart(timeoutError(runnable.functionName, phase, timeoutMs));
    });
    this.#output = new InstanceOutput(deps.wheel, (source, text) => this.#onOutput(source, text));
    this.#meter = new InstanceMeter(deps.clock, (interval) => deps.onBilled(this, interval));
    this.#files = instanceFiles(deps.runDirectory, deps.shims.directory, id);
  }

  get state(): InstanceState {
    return this.#state;
  }

  /** Milliseconds of each phase of the start. */
  get timings(): StartTimings {
    return this.#phases.timings;
  }

  /** How it was started, and where not from a stem why not. */
  get startKind(): StartKind {
    return this.#startKind;
  }

  get #loadMsMax(): number {
    return Math.max(this.runnable.timeoutMs, LOAD_MS_MIN);
  }

  get inFlight(): number {
    return inFlightOf(this.#state);
  }

  /** Undefined until the code is loaded. */
  get handlerKind(): HandlerKind | undefined {
    return this.#endpoint?.connection?.handlerKind;
  }

  /** Settles when every process is gone and every file is removed. */
  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  /** A frozen instance serves too, after a thaw. */
  hasFreeSlot(): boolean {
    const { name } = this.#state;
    if (name === 'idle' || name === 'frozen') return true;
    return (name === 'busy' || name === 'thawing') && this.inFlight < this.runnable.instanceConcurrency;
  }

  /** At most `MEMORY_SAMPLE_MS` old: measuring reads a file, and every answer of the invoke API tells the figure. */
  memoryBytesPeak(): number | undefined {
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs - this.#memorySample.takenMs >= MEMORY_SAMPLE_MS) {
      this.#memorySample = { takenMs: nowMs, bytes: this.#sandbox?.memoryBytesPeak() };
    }
    return this.#memorySample.bytes;
  }

  /** Never throws: a start that fails is told through `onStartFailed`, and the instance stops. */
  async start(): Promise<void> {
    const { driver, interpreters } = this.#deps;
    try {
      const root = await this.#root.mount(this.#deps.images, this.runnable);
      if (root !== undefined) this.#log('', 'platform', `image: ${root.mode}, ${root.reason}\n`);
      this.#access = this.#deps.openAccess?.(this.runnable, this.id);
      const endpoint = createEndpoint(
        {
          runnable:
            this.#access === undefined
              ? this.runnable
              : await withAccess(this.runnable, this.#access, driver.name),
          access: this.#access,
          instanceId: this.id,
          interpreters,
          shims: this.#deps.shims,
          files: this.#files,
          driver: driver.name,
          root,
          note: (text) => this.#log('', 'platform', text),
        },
        this.#runtimeEvents(),
      );
      this.#endpoint = endpoint;
      this.#phases.begin(endpoint.bootMsMax);
      let exit = await this.#run(
        endpoint,
        (await this.#becomeOfStem(endpoint)) ?? (await this.#startSandbox(endpoint)),
      );
      if (this.#isStemUnheard && isLostStem(exit, this.#linkCause)) {
        exit = await this.#run(endpoint, await this.#startAnew(endpoint));
      }
      this.#onExit(exit);
    } catch (error) {
      this.#failStart(
        ThawError.from(error, `starting an instance of function '${this.runnable.functionName}'`),
      );
    }
    await this.#cleanUp();
  }

  /** Until its last process has ended. */
  async #run(endpoint: RuntimeEndpoint, sandbox: Sandbox): Promise<SandboxExit> {
    this.#sandbox = sandbox;
    const { freezeAfterMs } = this.runnable;
    this.#freezer = new Freezer(this.#deps.wheel, sandbox, freezeAfterMs, () => this.#onFreezeDue());
    // A runtime may be ready, and have served, before the launcher's word that its sandbox is up is here.
    if (this.#state.name === 'idle') this.#freezer.arm();
    if (this.#killed) sandbox.kill();
    else endpoint.onSandbox(sandbox);
    const exit = await sandbox.exited;
    await Promise.all([this.#output.ended(), endpoint.ended?.()]);
    return exit;
  }

  /** The stem is gone, and has run nothing of the function: nobody needs to know. */
  async #startAnew(endpoint: RuntimeEndpoint): Promise<Sandbox> {
    await this.#stem?.gone;
    this.#stem = undefined;
    this.#startKind = { name: 'cold', reason: 'its stem was lost' };
    this.#output = new InstanceOutput(this.#deps.wheel, (source, text) => this.#onOutput(source, text));
    this.#phases.beginAnew(endpoint.bootMsMax);
    return await this.#startSandbox(endpoint);
  }

  /** Whether it came of a stem that has not said a word since it was told what it is, and is still to start. */
  get #isStemUnheard(): boolean {
    return this.#stem !== undefined && !this.#isHeard && !this.#startFailed && !this.#isEnding;
  }

  async #startSandbox(endpoint: RuntimeEndpoint): Promise<Sandbox> {
    await mkdir(this.#files.directory, { recursive: true, mode: 0o755 });
    await Promise.all([this.#output.listen(this.#files.outputSocket), endpoint.open()]);
    const sandbox = await this.#deps.driver.start(endpoint.spec);
    this.#phases.onSandbox();
    return sandbox;
  }

  /** Undefined where there is no stem for it, or none that is whole: then it starts as if there were no such thing. */
  async #becomeOfStem(endpoint: RuntimeEndpoint): Promise<Sandbox | undefined> {
    if ('reason' in this.#offer) {
      this.#startKind = { name: 'cold', reason: this.#offer.reason };
      return undefined;
    }
    const { stem } = this.#offer;
    try {
      if (endpoint.adopt === undefined) throw new Error('its runtime takes no stem');
      const sandbox = await stem.become(changeFor(endpoint.spec), (source, text) =>
        this.#onOutput(source, text),
      );
      endpoint.adopt(stem);
      // What was said while the code was loaded ahead is of the stem.
      this.#isHeard = false;
      this.#stem = stem;
      this.#output = stem.output;
      this.#startKind = { name: 'stem', isLoadedAhead: stem.isLoadedAhead };
      this.#phases.onStem(this.#loadMsMax);
      return sandbox;
    } catch (error) {
      stem.discard();
      // What follows has the same name.
      await stem.gone;
      const reason = error instanceof Error ? error.message : String(error);
      this.#startKind = { name: 'cold', reason };
      return undefined;
    }
  }

  /** Hands one invocation to the runtime. The caller has made sure of a free slot. */
  serve(request: InstanceRequest, sink: CallSink): InstanceCall {
    const connection = this.#endpoint?.connection;
    if (connection === undefined || !this.hasFreeSlot())
      throw new Error(`instance ${this.id} has no free slot`);
    this.served += 1;
    this.#apply({ type: 'slotTaken' });
    const call = new InstanceCall(request.requestId, sink, this.#callOwner);
    this.#calls.add(call);
    this.#meter.begin(this.#deps.clock.monotonicMs(), 'request');
    if (this.#state.name !== 'thawing') {
      this.#begin(call, connection, request);
      return call;
    }
    const askedMs = this.#deps.clock.monotonicMs();
    const begin = (): void => {
      call.thawMs = this.#deps.clock.monotonicMs() - askedMs;
      this.#begin(call, connection, request);
    };
    this.#waitingForThaw.push({ call, begin });
    if (this.#waitingForThaw.length === 1) void this.#thaw(connection);
    return call;
  }

  /** Bills what runs as far as it has come, so that long work shows before it ends. */
  reportUsage(): void {
    this.#meter.cut(this.#deps.clock.monotonicMs());
  }

  /** No new invocations; ends when the running ones have, and the hook before the stop after them. */
  drain(): void {
    if (this.#state.name === 'stopped' || this.#state.name === 'draining') return;
    const wasFrozen = this.#state.name === 'frozen';
    this.#apply({ type: 'drain' });
    if (this.inFlight === 0) void this.#stop(wasFrozen);
  }

  /** Ends every process at once. What runs fails with `reason`, or with how its processes ended. */
  kill(reason?: ThawError): void {
    if (this.#killed) return;
    this.#killed = true;
    if (reason !== undefined) {
      this.#failStart(reason);
      for (const call of this.#calls.values()) call.fail(reason);
    }
    this.drain();
    this.#handBack();
    if (this.#sandbox === undefined && this.#endpoint === undefined) this.#root.release();
    this.#sandbox?.kill();
  }

  #begin(call: InstanceCall, connection: RuntimeConnection, request: InstanceRequest): void {
    const { clock, wheel } = this.#deps;
    call.deadline = wheel.set(this.runnable.timeoutMs, () => this.#onCallTimeout(call));
    call.start(connection, request, clock.monotonicMs());
  }

  /** Idle for the whole grace. The hook may take its time; whoever comes meanwhile is told by the change back to idle. */
  #onFreezeDue(): void {
    if (this.#state.name !== 'idle') return;
    if (this.runnable.hooks.preFreeze === undefined) {
      this.#freeze();
      return;
    }
    this.#apply({ type: 'preFreeze' });
    this.#runHook('preFreeze', () => {
      if (this.#state.name !== 'preFreezing') return;
      this.#apply({ type: 'preFreezeEnded' });
      // Still idle: nobody has taken it in the turn of that change.
      if (this.state.name === 'idle') this.#freeze();
    });
  }

  #freeze(): void {
    this.#freezer?.disarm();
    this.#apply({ type: 'frozen' });
    this.#freezer?.freeze().catch((error: unknown) => {
      if (!this.#killed) this.#log('', 'platform', `the instance could not be frozen: ${String(error)}\n`);
    });
  }

  async #thaw(connection: RuntimeConnection): Promise<void> {
    try {
      await this.#freezer?.thaw();
    } catch (error) {
      this.#log('', 'platform', `the instance could not be thawed: ${String(error)}\n`);
      this.kill();
    }
    if (this.runnable.hooks.postThaw === undefined || this.#isEnding) this.#onThawed();
    else this.#runHook('postThaw', () => this.#onThawed(), connection);
  }

  #onThawed(): void {
    if (this.#isEnding) return;
    this.#apply({ type: 'thawed', atMs: this.#deps.clock.monotonicMs() });
    for (const { begin } of this.#waitingForThaw.splice(0)) begin();
  }

  /** Who waits for a thaw that will not come has given the runtime nothing yet. */
  #handBack(): void {
    for (const { call } of this.#waitingForThaw.splice(0)) {
      call.handBack();
      this.#onSettled(call, false);
    }
  }

  /** The last invocation has ended. The hook before the stop runs, unless the instance never served or is to die. */
  async #stop(isFrozen: boolean): Promise<void> {
    const isReady = this.#phases.phase === 'invocation' && !this.#isEnding;
    if (!isReady || this.runnable.hooks.preStop === undefined) {
      this.kill();
      return;
    }
    if (isFrozen) await this.#freezer?.thaw().catch(() => this.kill());
    if (!this.#isEnding) this.#runHook('preStop', () => this.kill());
  }

  /** The runtime can be asked nothing any more. */
  get #isEnding(): boolean {
    return this.#killed || this.#isExiting;
  }

  #runHook(hook: HookName, onEnd: () => void, connection = this.#endpoint?.connection): void {
    const timeoutMs = (this.runnable.hooks[hook]?.timeout ?? 0) * 1000;
    if (connection === undefined) throw new Error(`instance ${this.id} has no runtime to run a hook`);
    this.#meter.begin(this.#deps.clock.monotonicMs(), 'hook');
    runHook(this.#deps, connection, hook, timeoutMs, (run) => {
      this.#meter.end(this.#deps.clock.monotonicMs());
      if (run.failure !== undefined) this.#log('', 'platform', `the ${hook} hook failed: ${run.failure}\n`);
      this.#deps.onHook(this, run, this.#lastRequest.id);
      onEnd();
    });
  }

  #runtimeEvents(): RuntimeEvents {
    return {
      onBooted: () => {
        this.#phases.onBooted(this.#loadMsMax);
      },
      onInitializing: () => {
        this.#isHeard = true;
        this.#phases.onInitializing((this.runnable.initializer?.timeout ?? 0) * 1000);
        this.#meter.begin(this.#deps.clock.monotonicMs(), 'hook');
        this.#apply({ type: 'initializing' });
      },
      onReady: () => {
        this.#isHeard = true;
        const wasInitializing = this.#phases.phase === 'initializer';
        this.#phases.onReady();
        if (wasInitializing) this.#meter.end(this.#deps.clock.monotonicMs());
        this.#apply({ type: 'ready', atMs: this.#deps.clock.monotonicMs() });
      },
      onStartFailed: (failure) => this.#failStart(this.#startError(failure)),
      onLog: (source, text) => {
        this.#isHeard = true;
        this.#log('', source, text);
      },
      onClosed: (cause) => this.#onLinkClosed(cause),
    };
  }

  #startError({ phase, error }: StartFailure): ThawError {
    const name = this.runnable.functionName;
    const handlerIsMissing = error.errorType === 'HandlerNotFound';
    const code =
      phase === 'initializer'
        ? 'INITIALIZER_FAILED'
        : handlerIsMissing
          ? 'HANDLER_NOT_FOUND'
          : 'CODE_NOT_LOADED';
    const what = phase === 'initializer' ? 'the initializer failed' : 'its code cannot be loaded';
    return new ThawError(code, `function '${name}': ${what}: ${error.errorMessage}`, {
      details: { function: name },
      functionError: error,
    });
  }

  #failStart(error: ThawError): void {
    const isReady = this.#phases.phase === 'invocation';
    if (this.#startFailed || isReady) return;
    this.#startFailed = true;
    this.#log('', 'platform', `${error.message}\n`);
    this.#events.onStartFailed(this, error);
    this.kill();
  }

  #onCallTimeout(call: InstanceCall): void {
    call.fail(timeoutError(this.runnable.functionName, 'invocation', this.runnable.timeoutMs));
    this.kill();
  }

  #onSettled(call: InstanceCall, isLastOfProcess: boolean): void {
    if (call.deadline !== undefined) this.#deps.wheel.clear(call.deadline);
    if (!this.#calls.delete(call)) return;
    this.#root.answered();
    const nowMs = this.#deps.clock.monotonicMs();
    this.#lastRequest = { id: call.requestId, endedMs: nowMs };
    this.#meter.end(nowMs);
    if (isLastOfProcess) this.drain();
    if (this.inFlight > 0) this.#apply({ type: 'slotReleased', atMs: nowMs });
    if (this.#state.name === 'draining' && this.inFlight === 0) void this.#stop(false);
  }

  /** The link broke under a call. Why is known when the sandbox has ended, which it does soon. */
  #onBroken(call: InstanceCall, cause: unknown): void {
    const giveUp = this.#deps.wheel.set(EXIT_MS_MAX, () => {
      const name = this.runnable.functionName;
      call.fail(new ThawError('LINK_BROKEN', `an instance of function '${name}' was lost`, { cause }));
    });
    call.onDone(() => this.#deps.wheel.clear(giveUp));
    this.#awaitExit();
  }

  #onLinkClosed(cause: unknown): void {
    this.#linkCause = cause;
    if (!this.#isStemUnheard) {
      this.#awaitExit();
      return;
    }
    const sandbox = this.#sandbox;
    this.#deps.wheel.set(EXIT_GRACE_MS, () => sandbox?.kill());
  }

  /** The runtime is gone or going: it takes nothing more, and is killed only if it does not end by itself. */
  #awaitExit(): void {
    if (this.#isEnding) return;
    this.#beExiting();
    this.#deps.wheel.set(EXIT_GRACE_MS, () => this.kill());
  }

  #beExiting(): void {
    this.#isExiting = true;
    this.#apply({ type: 'drain' });
    this.#handBack();
  }

  #onExit(exit: SandboxExit): void {
    const { functionName, memoryMb, hot } = this.runnable;
    const { stderrTail } = this.#output;
    const servesOne = hot?.format === 'default';
    const error = exitError(functionName, memoryMb, this.#phases.phase, exit, stderrTail, servesOne);
    this.#failStart(error);
    // The end of the processes may be told before the end of the link.
    if (!this.#isEnding) this.#beExiting();
    for (const call of this.#calls.values()) {
      if (call.deadline !== undefined) this.#deps.wheel.clear(call.deadline);
      call.fail(error);
    }
  }

  #onOutput(source: LogSource, text: string): void {
    const { only } = this.#calls;
    if (only !== undefined) {
      only.onLog(source, text);
      return;
    }
    const isLate = this.#deps.clock.monotonicMs() - this.#lastRequest.endedMs < LATE_OUTPUT_MS;
    this.#log(this.#calls.size === 0 && isLate ? this.#lastRequest.id : '', source, text);
  }

  #apply(event: InstanceEvent): void {
    const from = this.#state;
    const to = nextState(from, event);
    if (to === undefined)
      throw new Error(`instance ${this.id} is ${from.name} and cannot take '${event.type}'`);
    this.#state = to;
    if (to === from) return;
    if (from.name === 'idle') this.#freezer?.disarm();
    this.#events.onChange(this, from);
    // A listener may have changed it again; the grace begins only where nothing has.
    if (this.#state === to && to.name === 'idle' && from.name !== 'preFreezing') this.#freezer?.arm();
  }

  #log(requestId: string, source: LogSource | 'platform', text: string): void {
    this.#deps.log({ instance: this, requestId, source, text });
  }

  async #cleanUp(): Promise<void> {
    this.#phases.close();
    this.#killed = true;
    this.#freezer?.disarm();
    this.#meter.stop(this.#deps.clock.monotonicMs());
    this.#endpoint?.close();
    this.#access?.close();
    this.#root.release();
    this.#output.close();
    await this.#stem?.gone;
    try {
      await rm(this.#files.directory, { recursive: true, force: true });
    } catch (error) {
      this.#log('', 'platform', `the instance's directory could not be removed: ${String(error)}\n`);
    }
    this.#apply({ type: 'exited' });
    this.#stopped.resolve();
  }
}

/** The version as this instance runs it: where its services answer and its credentials are in the environment. */
async function withAccess(
  runnable: RunnableVersion,
  access: InstanceAccess,
  driver: SandboxDriver['name'],
): Promise<RunnableVersion> {
  const url = driver === 'process' ? await access.platformUrl : `http://127.0.0.1:${accessPort(runnable)}`;
  const { environment } = runnable;
  return { ...runnable, environment: { ...environment, ...access.variables(url, environment) } };
}
