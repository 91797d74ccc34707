import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { RecordingSink, settled } from './recording-sink.ts';
import type { InstanceRequest, Transport } from './transport.ts';

/** A runtime that behaves as it is told, behind the transport under test. */
export interface TransportWorld {
  readonly transport: Transport;
  /**
   * A request to the runtime, which
   *  - `echo`: gives the body back as it comes;
   *  - `flood`: answers with `FLOOD_BYTES` as fast as they are taken;
   *  - `hold`: reads nothing and answers nothing, until `release` makes it an `echo`.
   */
  request(behaviour: Behaviour, body: Buffer | Readable): InstanceRequest;
  release(): void;
  /** Requests that the runtime holds, and how many of those it was told that nobody waits for. */
  held(): { readonly open: number; readonly cancelled: number };
  /** Ends the runtime in the middle of what it does. */
  kill(): void;
}

export type Behaviour = 'echo' | 'flood' | 'hold';

export const FLOOD_BYTES = 64 * 1024 * 1024;
/** More than every buffer on the way holds: kernel sockets, streams and windows of both sides. */
const IN_FLIGHT_BYTES_MAX = 24 * 1024 * 1024;
const CHUNK = Buffer.alloc(64 * 1024, 'x');

/** Registers the tests that every transport passes; each names the number of the contract in `transport.ts`. */
export function transportContract(name: string, open: (t: TestContext) => Promise<TransportWorld>): void {
  test(`${name}: 1 and 2 an answer has one head before its data, and one end`, async (t) => {
    const world = await open(t);
    const sink = new RecordingSink();
    world.transport.exchange(world.request('echo', Buffer.from('hello')), sink);
    await sink.ended;
    assert.deepEqual(sink.calls, ['head', 'data', 'end']);
    assert.equal(sink.text(), 'hello');
  });

  test(`${name}: 1 and 2 many exchanges at once keep to themselves`, async (t) => {
    const world = await open(t);
    const sinks = Array.from({ length: 20 }, (_, index) => {
      const sink = new RecordingSink();
      world.transport.exchange(world.request('echo', Buffer.from(`body ${index}`)), sink);
      return sink;
    });
    await Promise.all(sinks.map((sink) => sink.ended));
    assert.deepEqual(
      sinks.map((sink) => sink.text()),
      sinks.map((_, index) => `body ${index}`),
    );
  });

  test(`${name}: 3 an answer waits for a reader that asked for a pause`, async (t) => {
    const world = await open(t);
    const sink = new RecordingSink({ pausesAtFirst: true });
    const exchange = world.transport.exchange(world.request('flood', Buffer.alloc(0)), sink);
    await settled('the flood to stop', () => sink.bytes);
    assert.ok(sink.bytes > 0 && sink.bytes < IN_FLIGHT_BYTES_MAX, `${sink.bytes} bytes came`);
    sink.flow();
    exchange.resume();
    await sink.ended;
    assert.equal(sink.bytes, FLOOD_BYTES);
  });

  test(`${name}: 4 a body waits for a runtime that does not read it`, async (t) => {
    const world = await open(t);
    let produced = 0;
    const body = new Readable({
      read() {
        if (produced >= FLOOD_BYTES) this.push(null);
        else {
          produced += CHUNK.length;
          this.push(CHUNK);
        }
      },
    });
    const sink = new RecordingSink();
    world.transport.exchange(world.request('hold', body), sink);
    await settled('the body to stop', () => produced);
    assert.ok(produced > 0 && produced < IN_FLIGHT_BYTES_MAX, `${produced} bytes left`);
    world.release();
    await sink.ended;
    assert.equal(sink.bytes, FLOOD_BYTES);
  });

  test(`${name}: 5 a cancelled exchange is told to the runtime, and ends`, async (t) => {
    const world = await open(t);
    const sink = new RecordingSink();
    const exchange = world.transport.exchange(world.request('hold', Buffer.from('x')), sink);
    await settled('the runtime to have it', () => world.held().open, 1);
    exchange.cancel();
    await settled('the runtime to know', () => world.held().cancelled, 1);
    world.release();
    await sink.ended;
    assert.equal(sink.calls.filter((call) => call === 'end' || call === 'failure').length, 1);
  });

  test(`${name}: 6 every open exchange breaks with the runtime`, async (t) => {
    const world = await open(t);
    const sinks = [new RecordingSink(), new RecordingSink()];
    for (const sink of sinks) world.transport.exchange(world.request('hold', Buffer.from('x')), sink);
    await settled('the runtime to have both', () => world.held().open, 2);
    world.kill();
    await Promise.all(sinks.map((sink) => sink.ended));
    assert.deepEqual(
      sinks.map(({ failure }) => failure?.kind),
      ['broken', 'broken'],
    );
  });
}
