import { randomBytes } from 'node:crypto';
import { totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { collectBufferGarbage } from './base/buffer-garbage.ts';
import { systemClock } from './base/clock.ts';
import { DataDirectory, type Credentials } from './base/data-directory.ts';
import { DeadlineWheel } from './base/deadline-wheel.ts';
import { newInstanceId } from './base/ids.ts';
import { removeLeftoverRunDirectories } from './base/leftover-run-directories.ts';
import { AsyncPolicies } from './catalog/async-policies.ts';
import { Catalog } from './catalog/catalog.ts';
import { FunctionGrants } from './catalog/function-grants.ts';
import { Provisioning } from './catalog/provisioning.ts';
import { FUNCTIONS } from './catalog/record-kinds.ts';
import { UploadStore } from './catalog/upload-store.ts';
import type { DaemonOptions } from './daemon-options.ts';
import { openDaemonImages } from './daemon-images.ts';
import { openDaemonRuntimes } from './daemon-runtimes.ts';
import { openDaemonStores } from './daemon-stores.ts';
import { FcControlDoor } from './doors/fc/fc-control-door.ts';
import { createFcDoor, type FcDoor } from './doors/fc/fc-door.ts';
import { FcInvokeDoor } from './doors/fc/fc-invoke.ts';
import { ReplayDoor } from './doors/fc/replay-door.ts';
import { DeadLettersResource } from './doors/thaw/dead-letters-resource.ts';
import { EventBusesResource } from './doors/thaw/event-buses-resource.ts';
import { ImagesResource } from './doors/thaw/images-resource.ts';
import { ImageCacheResource } from './doors/thaw/image-cache-resource.ts';
import { FunctionApiDoor } from './doors/thaw/function-api-door.ts';
import { QueuesResource } from './doors/thaw/queues-resource.ts';
import { TasksResource } from './doors/thaw/tasks-resource.ts';
import { TriggersResource } from './doors/thaw/triggers-resource.ts';
import { MetricsDoor } from './doors/thaw/metrics-door.ts';
import { S3Door } from './doors/s3/s3-door.ts';
import { ThawDoor } from './doors/thaw/thaw-door.ts';
import type { Door } from './gateway/door.ts';
import { FunctionAccess } from './gateway/function-access.ts';
import { FunctionEndpoint } from './gateway/function-endpoint.ts';
import { HttpTriggerDoor } from './gateway/http-trigger-door.ts';
import { IdempotentCalls } from './gateway/idempotent-calls.ts';
import { Listener } from './gateway/listener.ts';
import { singleAccessKey } from './gateway/signature/access-keys.ts';
import { RequestVerifier } from './gateway/signature/request-verifier.ts';
import { SignedTokens } from './gateway/signature/signed-token.ts';
import { openMountDirectory } from './image/imaged/mount-directory.ts';
import { appendInstanceLog } from './instance/append-instance-log.ts';
import { Instance, type InstanceDeps } from './instance/instance.ts';
import { isSuspect } from './instance/prepared/prepared-code.ts';
import type { StemOffer } from './instance/stem/stem-pool.ts';
import { AsyncInvocations } from './invocation/async/async-invocations.ts';
import { outcomeHandlers } from './invocation/async/outcome-handlers.ts';
import { InputRecorder } from './invocation/input-recorder.ts';
import type { Invocation, InvocationDeps } from './invocation/invocation.ts';
import { Replays } from './invocation/replays.ts';
import { timelineLine } from './invocation/timeline-line.ts';
import { grantsNothing } from './model/function-grant.ts';
import type { RunnableVersion } from './model/runnable.ts';
import { Scheduler } from './scheduler/scheduler.ts';
import {
  DEFAULT_IDLE_MS_MAX,
  DEFAULT_INSTANCES_MAX,
  DEFAULT_WAIT_MS_MAX,
  DEFAULT_WAITERS_PER_FUNCTION_MAX,
} from './scheduler/scheduler-limits.ts';
import { FileBlobs } from './store/file-blobs.ts';
import { Metrics, type FinishedInvocation } from './telemetry/metrics.ts';
import { DatabaseSource } from './trigger/database/database-source.ts';
import { Destinations } from './trigger/destination/destinations.ts';
import { eventInvocations } from './trigger/event-invocations.ts';
import { EventSources } from './trigger/event-sources.ts';
import { EventReplies } from './trigger/eventbridge/event-replies.ts';
import { OssSource } from './trigger/oss/oss-source.ts';
import { WatchedDirectories } from './trigger/oss/watched-directories.ts';
import { VERSION } from './version.ts';

export interface Daemon {
  readonly url: string;
  readonly dataDir: string;
  readonly credentials: Credentials;
  readonly isolation: string;
  /** What the operator should know about this machine. */
  readonly warnings: readonly string[];
  close(): Promise<void>;
}

/** Invocations that run when the platform is told to stop get so long to finish. */
const STOP_GRACE_MS = 10_000;
/** Of the machine's memory, what the memory limits of all instances together may reach. */
const MEMORY_SHARE = 0.8;
/** How often code that no version needs any more is removed. */
const COLLECT_CODE_MS = 30 * 60_000;
/** Of work that goes on for long, a crash of the platform loses so much of the bill at most. */
const REPORT_USAGE_MS = 60_000;
const INSTANCES_PER_FUNCTION_MAX = 100;
const PLACE = { region: 'local', accountId: '1000000000000000' } as const;

/** Builds the platform from the bottom up. What was opened is closed in reverse order, also when the start fails half-way. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  await using open = new AsyncDisposableStack();
  const { log } = options;
  const clock = systemClock;
  if (!collectBufferGarbage(options.collectsBuffers ?? true))
    log(
      'info',
      'buffers of bodies go with the whole heap only: this engine does not collect young ones alone',
    );
  const data = open.adopt(new DataDirectory(options.dataDir), (directory) => directory.close());
  const credentials = data.credentials();
  const wheel = open.adopt(new DeadlineWheel(clock), (running) => running.close());

  const stores = await openDaemonStores(open, {
    path: data.path,
    clock,
    wheel,
    log,
    onUnrecorded: () => metrics.onUnrecorded(),
  });
  const { records, blobs, codeStore, logs, recorder, calls, queue } = stores;
  const { knownFiles, queues, outbox, objects, usageLog, usage } = stores;
  const inputs = new InputRecorder({ calls, clock, report: log });

  const imageMounts = open.adopt(await openMountDirectory(join(data.runDirectory, 'lazy')), (opened) =>
    opened.close(),
  );
  const runtimes = await openDaemonRuntimes(open, { data, clock, wheel, logs, options });
  const { sandboxes, interpreters, shims, prepared, stems, loaded } = runtimes;
  const { driver } = sandboxes;

  let url = '';
  const listening = Promise.withResolvers<string>();
  listening.promise.catch(() => undefined);
  // What functions may use themselves, by credentials of their own.
  const functionDoors: Door[] = [];
  const grants = open.adopt(
    new FunctionGrants(records, (functionName) => {
      // Those that started before have no way to it.
      for (const instance of scheduler.instancesOf(functionName)) {
        if (!functionAccess.isOpen(instance.id)) instance.drain();
      }
    }),
    (opened) => opened.close(),
  );
  const functionAccess = new FunctionAccess({
    tokens: new SignedTokens(randomBytes(32), clock),
    grantOf: (runnable) => grants.grantOf(runnable),
    endpoint: new FunctionEndpoint({ clock, doors: functionDoors }),
    platformUrl: listening.promise,
    region: PLACE.region,
  });

  const { images, mounter } = await openDaemonImages(open, {
    data,
    mountDirectory: imageMounts.path,
    records,
    clock,
    options,
  });
  const instanceDeps: InstanceDeps = {
    images,
    clock,
    wheel,
    driver,
    interpreters,
    runDirectory: data.runDirectory,
    shims,
    openAccess: (runnable, instanceId) => functionAccess.open(runnable, instanceId),
    log: (entry) => appendInstanceLog(logs, clock.now(), entry),
    onHook: (instance, { hook, ms, failure }, requestId) => {
      metrics.onHook(instance.runnable.functionName, hook, failure !== undefined);
      if (hook === 'preFreeze' && requestId !== '') recorder.addPreFreeze(requestId, ms);
    },
    onBilled: ({ id, runnable }, interval) => {
      const { functionName, versionId, memoryMb } = runnable;
      usage.add({ functionName, versionId, instanceId: id, memoryMb, ...interval });
    },
  };
  const stemFor = (runnable: RunnableVersion): StemOffer => {
    const stem = loaded.take(runnable);
    return stem === undefined ? stems.take(runnable) : { stem };
  };
  const scheduler = new Scheduler({
    clock,
    wheel,
    limits: {
      instancesMax: DEFAULT_INSTANCES_MAX,
      instancesPerFunctionMax: INSTANCES_PER_FUNCTION_MAX,
      memoryMbMax: Math.floor((totalmem() / 1024 / 1024) * MEMORY_SHARE),
      waitersPerFunctionMax: DEFAULT_WAITERS_PER_FUNCTION_MAX,
      waitMsMax: DEFAULT_WAIT_MS_MAX,
      idleMsMax: DEFAULT_IDLE_MS_MAX,
      // Without sandboxes the servers of all instances would want the same port of the host.
      ...(driver.name === 'process' ? { instancesPerServerMax: 1 } : {}),
      ...options.limits,
    },
    keepAlive: options.keepAlive ?? 'rhythm',
    currentOf: ({ functionName, versionId }) => {
      const found = catalog.routes.find(functionName, versionId, 1);
      return typeof found === 'string' ? undefined : found;
    },
    createInstance: (runnable, events) => {
      prepared.prepare(runnable);
      const onStartFailed = (instance: Instance, error: ThawError): void => {
        // Whether by the code or by what was made of it: the next start takes the code as it is.
        if (isSuspect(runnable, error)) prepared.drop(runnable);
        events.onStartFailed(instance, error);
      };
      const told = { onChange: events.onChange.bind(events), onStartFailed };
      const ready = prepared.apply(runnable);
      // Its way to the platform is made before its sandbox runs.
      const isGranted = !grantsNothing(grants.grantOf(runnable));
      const offer = isGranted ? { reason: 'it has a way to the platform' } : stemFor(ready);
      const id = 'stem' in offer ? offer.stem.id : newInstanceId(clock.now());
      return new Instance(instanceDeps, told, ready, id, offer);
    },
    onThrottled: (functionName) => metrics.onThrottled(functionName),
    onEvicted: (functionName) => metrics.onEvicted(functionName),
  });
  // Runs end with the scheduler; only then is all that came of them on its way to the disk.
  let drainAsync = (): Promise<void> => Promise.resolve();
  open.defer(() => drainAsync());
  open.defer(() => scheduler.close(STOP_GRACE_MS));
  // Nobody waits for an address that will not come.
  open.defer(() => listening.reject(new ThawError('SHUTTING_DOWN', 'the platform is being stopped')));
  grants.open();

  let onChanged = (_functionName: string): void => undefined;
  const catalog = await Catalog.open({
    records,
    packages: codeStore,
    images,
    clock,
    place: PLACE,
    onChanged: (functionName) => onChanged(functionName),
    checkTrigger: (trigger) => eventSources.engine.check(trigger),
    onBrokenCode: (error) => log('error', 'a stored function cannot be run', error),
  });
  open.defer(() => catalog.close());
  const provisioning = open.adopt(
    new Provisioning({ records, routes: catalog.routes, scheduler, clock }),
    (opened) => opened.close(),
  );
  provisioning.open();
  const currentOf = (functionName: string): RunnableVersion | undefined => {
    const found = catalog.routes.find(functionName, undefined, 1);
    return typeof found === 'string' ? undefined : found;
  };
  const getReady = (functionName: string): void => {
    const runnable = currentOf(functionName);
    stems.expect(functionName, runnable);
    if (runnable !== undefined) prepared.prepare(runnable);
  };
  for (const functionName of catalog.routes.functionNames()) getReady(functionName);
  onChanged = (functionName) => {
    provisioning.refresh(functionName);
    getReady(functionName);
    const runnable = currentOf(functionName);
    const isGranted = runnable !== undefined && !grantsNothing(grants.grantOf(runnable));
    // Beside the preparation: loading the sources once takes less time than compiling all of them.
    loaded.expect(functionName, isGranted ? undefined : runnable);
    asyncInvocations.functionChanged(functionName);
    eventSources.engine.refresh(functionName);
  };
  const reportUsage = (): void => {
    for (const instance of scheduler.instances()) instance.reportUsage();
    usage.flush();
  };
  const reporting = setInterval(reportUsage, REPORT_USAGE_MS);
  reporting.unref();
  open.defer(() => clearInterval(reporting));
  const collectCode = (): void => {
    const running = [...scheduler.instances()].map((instance) => instance.runnable);
    catalog
      .collectCode(running)
      .then(() => images.collect(new Set(catalog.images().flatMap(({ image }) => image?.image.digest ?? []))))
      .then(() => prepared.collect())
      .catch((error: unknown) => log('error', 'unused code could not be removed', error));
  };
  for (const { image, config } of catalog.images())
    if (image !== undefined) images.prepare(image, config.customContainerConfig ?? {});
  const collecting = setInterval(collectCode, COLLECT_CODE_MS);
  collecting.unref();
  open.defer(() => clearInterval(collecting));
  collectCode();
  open.defer(
    records.watch(FUNCTIONS.prefix, (change) => {
      if (change.kind !== 'delete') return;
      const functionName = change.key.slice(FUNCTIONS.prefix.length);
      scheduler.retireFunction(functionName);
      asyncInvocations.functionRemoved(functionName);
      calls.forget(functionName);
      logs.removeFunction(functionName).catch((error: unknown) => {
        log('error', `the log of function '${functionName}' could not be removed`, error);
      });
    }),
  );

  const metrics = new Metrics({
    *instances() {
      for (const instance of scheduler.instances()) {
        yield { functionName: instance.runnable.functionName, state: instance.state.name };
      }
    },
    waiting: () => scheduler.waiting(),
    provisioned: () => provisioning.statuses(),
  });
  const invocation: InvocationDeps = {
    clock,
    recordInput: (request) => inputs.record(request),
    scheduler,
    accountId: PLACE.accountId,
    onFinished: (finished: Invocation, error: ThawError | undefined): void => {
      recorder.add(finished, error);
      metrics.onFinished(summaryOf(finished, error));
      // A line for each warm success would push out what functions say; those are in the records.
      if (finished.isColdStart || error !== undefined) logs.append(timelineLine(finished, clock.now()));
    },
  };
  const asyncPolicies = open.adopt(new AsyncPolicies(records), (opened) => opened.close());
  const asyncInvocations = open.adopt(
    new AsyncInvocations({
      queue,
      blobs: new FileBlobs(join(data.path, 'async-blobs')),
      wheel,
      invocation,
      resolve: (functionName, qualifier) => catalog.routes.resolve(functionName, qualifier, Math.random()),
      policyOf: (functionName, qualifier) => asyncPolicies.policyOf(functionName, qualifier),
      log,
      acceptsFirst: options.acceptsFirst ?? true,
      onFailedForGood: (task, error) => eventSources.engine.noteFailure(task, error),
    }),
    (opened) => opened.stop(),
  );
  drainAsync = () => asyncInvocations.drained();
  const { routes } = catalog;
  const watchedDirectories = new WatchedDirectories(options.watchDirs ?? []);
  const keys = singleAccessKey(credentials.accessKeyId, credentials.accessKeySecret);
  const verifier = new RequestVerifier(keys, clock);
  const eventSources = open.adopt(
    new EventSources({
      records,
      routes,
      queues,
      outbox,
      invocations: eventInvocations(invocation, routes, asyncInvocations),
      clock,
      log,
      place: PLACE,
      furtherSources: [
        new OssSource({ objects, files: knownFiles, directories: watchedDirectories, clock, place: PLACE }),
        new DatabaseSource(watchedDirectories),
      ],
    }),
    (opened) => opened.close(),
  );
  const idempotent = new IdempotentCalls({ calls, clock, report: log });
  const submitter = asyncInvocations;
  const triggers = new HttpTriggerDoor({ invocation, routes, verifier, submitter, idempotent });
  const replays = new Replays({ calls, history: recorder, tasks: asyncInvocations, clock });
  const s3Door = new S3Door({
    objects,
    keys: {
      owner: keys,
      identifyFunction: (accessKeyId, token, from) => functionAccess.identify(accessKeyId, token, from),
    },
    clock,
    onPlatformError: (error, requestId) => log('error', `request ${requestId} failed`, error),
  });
  functionDoors.push(s3Door);
  const fcDoor: FcDoor = createFcDoor({
    catalog,
    asyncTasks: asyncInvocations,
    verifier,
    tokens: new SignedTokens(randomBytes(32), clock),
    uploads: new UploadStore(join(data.path, 'uploads'), clock),
    zipPath: (digest) => blobs.path(digest),
    clock,
    publicUrl: undefined,
    listInstances: (functionName) =>
      scheduler.instancesOf(functionName).map((instance) => ({
        instanceId: instance.id,
        qualifier: instance.runnable.versionId,
        versionId: instance.runnable.versionId,
        status: instance.state.name === 'busy' ? 'Active' : 'Idle',
        createdTimeMs: instance.startedAtMs,
      })),
    imageState: (digest) => images.state(digest),
    provisionStatus: (functionName, qualifier) => provisioning.status(functionName, qualifier),
    abortInvocations: (functionName) => {
      const error = new ThawError(
        'FUNCTION_DISABLED',
        `invocations of function '${functionName}' were disabled`,
      );
      for (const instance of scheduler.instancesOf(functionName)) instance.kill(error);
    },
    onPlatformError: (error, requestId) => log('error', `request ${requestId} failed`, error),
  });

  const stopping = new AbortController();
  const messageResources = [new QueuesResource(queues, clock), new EventBusesResource(eventSources.buses)];
  functionDoors.push(
    new FunctionApiDoor({
      resources: messageResources,
      grantOf: (token, from) => functionAccess.identifyToken(token, from).grant,
      stopping: stopping.signal,
    }),
  );
  const listener = new Listener({
    clock,
    readsSmallRequests: options.readsSmallRequests ?? true,
    doors: [
      new FcInvokeDoor({ invocation, routes, verifier, submitter, idempotent }),
      triggers,
      new FcControlDoor(fcDoor),
      s3Door,
      new ReplayDoor({ invocation, routes, verifier, submitter, replays }),
      new ThawDoor({
        verifier,
        keys,
        resources: [
          new TasksResource(asyncInvocations),
          new DeadLettersResource(asyncInvocations),
          new TriggersResource({ triggers: catalog.triggers, engine: eventSources.engine }),
          ...messageResources,
          new ImagesResource({ images, versions: () => catalog.images() }),
          new ImageCacheResource(mounter),
        ],
        invocations: recorder,
        logs,
        usage: { log: usageLog, flush: reportUsage },
        clock,
        live: catalog,
        stopping: stopping.signal,
        requireFunction: (functionName) => routes.requireFunction(functionName),
        info: () => ({
          version: VERSION,
          url,
          accountId: PLACE.accountId,
          dataDir: data.path,
          isolation: driver.name,
          stems: { ...stems.status(), loaded: loaded.count },
          warnings: [...sandboxes.warnings, ...driver.shortcomings],
          runtimes: interpreters.map(({ family, fullVersion, path }) => ({
            name: family,
            version: fullVersion,
            path,
          })),
        }),
      }),
      new MetricsDoor(metrics, keys),
    ],
    functionHosts: triggers,
    isHealthy: () => !stopping.signal.aborted,
  });
  const destinations = open.adopt(
    new Destinations({
      clock,
      place: PLACE,
      destinationsOf: (functionName, qualifier) => asyncPolicies.destinationsOf(functionName, qualifier),
      submitter: asyncInvocations,
      readBytes: (task, which, bytesMax) => asyncInvocations.wholeBytes(task, which, bytesMax),
      queues,
      objects,
      allowedHosts: options.destinationHosts ?? [],
    }),
    (opened) => opened.close(),
  );
  const replies = new EventReplies({
    buses: eventSources.buses,
    clock,
    readBytes: (task, which, bytesMax) => asyncInvocations.wholeBytes(task, which, bytesMax),
  });
  await asyncInvocations.start(outcomeHandlers([destinations, replies]));
  await eventSources.open();
  url = await listener.listen(options.host, options.port);
  listening.resolve(url);
  open.defer(() => listener.close(STOP_GRACE_MS));
  data.announce(url);
  removeLeftoverRunDirectories(dirname(data.runDirectory))
    .then((removed) => {
      if (removed.length > 0)
        log('info', `removed what platforms that were killed had left: ${removed.join(', ')}`);
    })
    .catch((error: unknown) => log('error', 'what killed platforms have left could not be removed', error));

  const close = open.move();
  return {
    url,
    dataDir: data.path,
    credentials,
    isolation: driver.name,
    warnings: [...sandboxes.warnings, ...driver.shortcomings],
    close: async () => {
      stopping.abort();
      await close.disposeAsync();
    },
  };
}

function summaryOf(invocation: Invocation, error: ThawError | undefined): FinishedInvocation {
  return {
    functionName: invocation.request.runnable.functionName,
    outcome: error === undefined ? 'success' : `${error.fault}_error`,
    isColdStart: invocation.isColdStart,
    durationMs: invocation.timeline.lastByte ?? 0,
  };
}
