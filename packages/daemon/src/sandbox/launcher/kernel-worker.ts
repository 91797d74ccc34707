/**
 * The launcher's second thread: system calls that wait for locks of the whole machine or for every processor to come round,
 * some for tens of milliseconds. The main thread starts, freezes and thaws meanwhile.
 */
import { closeSync, rmdirSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { openMountCalls, type MountCalls } from '../bubblewrap/mount-calls.ts';
import { openNetworkCalls, type NetworkCalls } from '../network/network-calls.ts';
import type { KernelAnswer, KernelOpened, KernelRequest, KernelTask } from './kernel-task.ts';

function open(): { networks: NetworkCalls; mounts: MountCalls } | string {
  try {
    return { networks: openNetworkCalls(), mounts: openMountCalls() };
  } catch (error) {
    return reasonOf(error);
  }
}

const calls = open();
const opened: KernelOpened = { unusable: typeof calls === 'string' ? calls : undefined };
parentPort?.postMessage(opened, []);

parentPort?.on('message', ({ request, task }: KernelRequest) => {
  const answer = (failure: string | undefined, namespaces: readonly number[]): void => {
    const message: KernelAnswer = { request, failure, namespaces };
    parentPort?.postMessage(message, []);
  };
  try {
    answer(undefined, perform(task));
  } catch (error) {
    answer(reasonOf(error), []);
  }
});

function perform(task: KernelTask): readonly number[] {
  if (typeof calls === 'string') throw new Error(calls);
  const { networks, mounts } = calls;
  switch (task.type) {
    case 'makeNetworks':
      return makeAll(networks, task);
    case 'closeWayOut':
      networks.closeWayOut(task.namespace);
      return [];
    case 'deleteNetworks':
      try {
        networks.deleteInterfaces(task.interfaces, task.group);
      } finally {
        for (const namespace of task.namespaces) closeSync(namespace);
      }
      return [];
    case 'removePlaces':
      for (const place of task.mounted) mounts.detach(place);
      for (const directory of task.directories) rmdirSync(directory);
      return [];
  }
}

function makeAll(by: NetworkCalls, { networks }: KernelTask & { type: 'makeNetworks' }): number[] {
  const made: number[] = [];
  try {
    for (const names of networks) made.push(by.make(names));
    return made;
  } catch (error) {
    // The other ends go with their namespaces.
    for (const namespace of made) closeSync(namespace);
    throw error;
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
