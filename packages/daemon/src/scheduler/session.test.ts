import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SessionTable } from './session-table.ts';
import { simulatedFunction, SimulatedRequest, Simulation } from './simulation.ts';
import type { SimulatedInstance } from './simulated-instance.ts';

const chat = simulatedFunction('chat', {
  instanceConcurrency: 2,
  sessionAffinity: { kind: 'header', name: 'session', sessionsPerInstance: 2, ttlMs: 60_000, idleMs: 10_000 },
});

test('requests of one session go to one instance, and wait for it rather than go elsewhere', () => {
  using simulation = new Simulation();
  const first = simulation.request(chat, 'a');
  simulation.settle();
  const second = simulation.request(chat, 'a');
  const third = simulation.request(chat, 'a');
  assert.equal(second.instance, first.instance);
  assert.equal(third.isRunning, false);
  assert.equal(simulation.created.length, 1);
  const other = simulation.request(chat, 'b');
  assert.equal(simulation.created.length, 2);
  simulation.settle();
  assert.notEqual(other.instance, first.instance);
  first.instance?.release();
  assert.equal(third.instance, second.instance);
});

test('requests that come together before a session has an instance all go to the one that it gets', () => {
  using simulation = new Simulation();
  const requests = Array.from({ length: 5 }, () => simulation.request(chat, 'a'));
  assert.equal(simulation.created.length, 1);
  simulation.settle();
  const [instance] = simulation.created;
  assert.equal(requests.filter((each) => each.instance === instance).length, 2);
  for (let count = 0; count < 3; count += 1) instance?.release();
  assert.ok(requests.every((each) => each.instance === instance));
});

test('an instance takes as many sessions as it may and no more', () => {
  using simulation = new Simulation();
  const requests = ['a', 'b', 'c'].map((id) => {
    const request = simulation.request(chat, id);
    simulation.settle();
    request.instance?.release();
    return request;
  });
  assert.equal(requests[0]?.instance, requests[1]?.instance);
  assert.notEqual(requests[0]?.instance, requests[2]?.instance);
  assert.equal(simulation.request(chat, 'a').instance, requests[0]?.instance);
});

test('a session whose instance is gone, or whose time is over, begins anew', () => {
  using simulation = new Simulation();
  const first = simulation.request(chat, 'a');
  simulation.settle();
  const waiting = [simulation.request(chat, 'a'), simulation.request(chat, 'a')];
  simulation.created[0]?.exit();
  simulation.settle();
  assert.equal(waiting[1]?.instance, simulation.created[1]);
  assert.notEqual(waiting[1]?.instance, first.instance);
  waiting[1]?.instance?.release();
  simulation.advance(11_000);
  for (const id of ['b', 'c']) assert.equal(simulation.request(chat, id).instance, simulation.created[1]);
});

test('a session is not over while a request of it runs, and idles from its end on', () => {
  using simulation = new Simulation();
  const { scheduler } = simulation;
  simulation.request(chat, 'a');
  simulation.settle();
  const [only] = simulation.created;
  assert.ok(only !== undefined);
  scheduler.enterSession(chat, 'a', only);
  simulation.advance(20_000);
  only.release();
  scheduler.leaveSession(chat, 'a', only);
  simulation.advance(9_000);
  const again = simulation.request(chat, 'a');
  assert.equal(again.instance, only);
  only.release();
  simulation.advance(11_000);
  // Nothing of it ran for ten seconds: two other sessions have its place.
  for (const id of ['b', 'c']) {
    assert.equal(simulation.request(chat, id).instance, only);
    only.release();
  }
  assert.equal(simulation.request(chat, 'a').isRunning, false);
});

test('a session keeps its instance from idling out, but not from making room', () => {
  using simulation = new Simulation({ idleMsMax: 1_000, memoryMbMax: 128 });
  simulation.request(chat, 'a');
  simulation.settle();
  simulation.created[0]?.release();
  simulation.advance(8_000);
  assert.deepEqual(simulation.states(), ['idle']);
  const other = simulation.request(simulatedFunction('other'));
  simulation.settle();
  assert.equal(other.isRunning, true);
  assert.equal(simulation.live('chat').length, 0);
});

test('at the limit, a session that begins waits until another one is over', () => {
  using simulation = new Simulation();
  const single = { ...chat, instancesMax: 1 };
  for (const id of ['a', 'b']) {
    simulation.request(single, id);
    simulation.settle();
    simulation.created[0]?.release();
  }
  const third = simulation.request(single, 'c');
  simulation.advance(5_000);
  assert.equal(third.isRunning, false);
  simulation.advance(6_000);
  assert.equal(third.instance, simulation.created[0]);
});

test('a bound that is lifted lets go on who waits for its session', () => {
  using simulation = new Simulation();
  simulation.scheduler.reserve('chat', 1);
  const [first, second] = [simulation.request(chat, 'a'), simulation.request(chat, 'a')];
  simulation.settle();
  assert.deepEqual([first.isRunning, second.isRunning], [true, false]);
  simulation.scheduler.reserve('chat', 2);
  assert.equal(second.instance, first.instance);
});

test('when the first request of a session gives up, the next one takes its place', () => {
  using simulation = new Simulation();
  const [first, second, third] = [1, 2, 3].map(() => simulation.request(chat, 'a'));
  assert.ok(first && second && third);
  simulation.scheduler.withdraw(chat, first);
  simulation.scheduler.withdraw(chat, third);
  simulation.settle();
  assert.deepEqual(
    [first, second, third].map((each) => each.isRunning),
    [false, true, false],
  );
  assert.equal(simulation.waiting('chat'), 0);
});

test('the table is bounded: the session that was used the longest time ago makes room', () => {
  const rules = { sessionsPerInstance: 10, ttlMs: 1000, idleMs: 1000 };
  const table = new SessionTable<SimulatedInstance>(rules, 3);
  using simulation = new Simulation();
  simulation.request(chat);
  const [instance] = simulation.created;
  assert.ok(instance !== undefined);
  for (const id of ['a', 'b', 'c']) table.bind(table.open(id, 0), instance);
  table.use('a', 1);
  table.bind(table.open('d', 2), instance);
  assert.equal(table.size, 3);
  assert.equal(table.use('b', 3), undefined);
  assert.ok(table.use('a', 3));
  assert.equal(table.room(instance, 3), 7);
  const session = table.use('c', 4);
  assert.ok(session);
  const waiter = new SimulatedRequest('c');
  table.wait(session, waiter);
  assert.deepEqual([table.hasWaiting(instance), table.waiting], [true, 1]);
  assert.deepEqual(table.release(instance), [waiter]);
  assert.deepEqual([table.size, table.waiting, table.room(instance, 4)], [0, 0, 10]);
});
