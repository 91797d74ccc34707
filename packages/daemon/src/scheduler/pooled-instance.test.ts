import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { ManualClock, systemClock } from '../base/clock.ts';
import { DeadlineWheel } from '../base/deadline-wheel.ts';
import { newInstanceId } from '../base/ids.ts';
import { Instance } from '../instance/instance.ts';
import { findInterpreters } from '../instance/interpreters.ts';
import { Shims } from '../instance/shims.ts';
import { openSandboxes } from '../sandbox/sandboxes.ts';
import { testPooledInstance, type InstanceHarness } from './pooled-instance-contract.ts';
import { SimulatedInstance } from './simulated-instance.ts';
import { simulatedFunction } from './simulation.ts';

testPooledInstance('a simulated instance', () => {
  const broken = new Set<SimulatedInstance>();
  const clock = new ManualClock();
  const harness: InstanceHarness<SimulatedInstance> = {
    create: (kind, events) => {
      const instance = new SimulatedInstance(clock, events, simulatedFunction('f'));
      if (kind === 'broken') broken.add(instance);
      return instance;
    },
    started: (instance) => {
      if (broken.has(instance)) instance.failStart(new ThawError('CODE_NOT_LOADED', 'no'));
      else instance.becomeReady();
      return Promise.resolve();
    },
    serve: (instance) => {
      instance.serve();
      return () => {
        instance.release();
        return Promise.resolve();
      };
    },
    letEnd: (instance) => instance.exit(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return Promise.resolve(harness);
});

/** Without isolation: what an instance tells the scheduler does not depend on what holds its processes. */
testPooledInstance<Instance>('a real instance', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'thaw-instance-'));
  const runDirectory = join(directory, 'run');
  const wheel = new DeadlineWheel(systemClock);
  const log = (): void => undefined;
  const interpreters = await findInterpreters(process.env['PATH'] ?? '');
  const sandboxes = await openSandboxes({ runDirectory, isolation: 'process', clock: systemClock, log });
  const deps = {
    clock: systemClock,
    wheel,
    driver: sandboxes.driver,
    interpreters,
    runDirectory,
    shims: await Shims.install(directory, interpreters, {
      driver: sandboxes.driver,
      wheel,
      runDirectory,
      isEnabled: false,
      log,
    }),
    log,
    onHook: log,
    onBilled: log,
  };
  for (const [kind, source] of [
    ['good', `exports.handler = (event) => new Promise((resolve) => setTimeout(resolve, 50, event));`],
    ['broken', `throw new Error('no');`],
  ] as const) {
    await mkdir(join(directory, kind));
    await writeFile(join(directory, kind, 'index.js'), source);
  }
  const settled = new Map<Instance, PromiseWithResolvers<void>>();
  return {
    create: (kind, events) => {
      const start = Promise.withResolvers<void>();
      const runnable = simulatedFunction('f', {
        runtime: 'nodejs26',
        codeDirectory: join(directory, kind),
        handlerType: 'event',
      });
      const instance = new Instance(
        deps,
        {
          onChange: (changed, from) => {
            events.onChange(changed, from);
            if (changed.state.name === 'idle' || changed.state.name === 'draining') start.resolve();
          },
          onStartFailed: (failed, error) => events.onStartFailed(failed, error),
        },
        runnable,
        newInstanceId(Date.now()),
      );
      settled.set(instance, start);
      return instance;
    },
    started: (instance) => settled.get(instance)?.promise ?? Promise.resolve(),
    serve: (instance) => {
      const ended = Promise.withResolvers<void>();
      const ids = { requestId: '1-0-0', qualifier: 'LATEST', versionId: 'LATEST' };
      instance.serve(
        { kind: 'event', ...ids, deadlineMs: Date.now() + 3000, body: Buffer.from('hello') },
        {
          onHead: log,
          onData: () => true,
          // The slot is given back after the answer, in the same turn.
          onEnd: () => setImmediate(ended.resolve),
          onFailure: ended.reject,
          onHandedBack: () => ended.reject(new Error('it was handed back')),
          onLog: log,
        },
      );
      return () => ended.promise;
    },
    letEnd: log,
    [Symbol.asyncDispose]: async () => {
      await sandboxes.close();
      wheel.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
});
