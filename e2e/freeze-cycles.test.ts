import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { afterTest } from '@thaw/testkit/after-test.ts';
import { postgresPrograms } from '@thaw/testkit/local-postgres.ts';
import { startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { metric, readMetrics } from './fixtures/metrics.ts';
import { missingNpmIndex, missingSandbox } from './fixtures/requirements.ts';
import { installedPackages } from './outside/npm-package.ts';
import { missingOutside, openOutside, type Outside } from './outside/outside.ts';
import { startPostgres } from './outside/postgres.ts';
import { API, createFunction } from './support/functions.ts';
import { jsonOf, send, type Answer } from './support/http-call.ts';
import { sign } from './support/signed-call.ts';

const CYCLES = 1000;

test(`connections to an HTTP server and a database live through ${CYCLES} freezes`, async (t) => {
  const platform = await startPlatform(t);
  const missing = (await missingOutside()) ?? (await missingSandbox(platform));
  if (missing !== undefined) {
    t.skip(missing);
    return;
  }
  const outside = await openOutside(t);
  const server = await startPinger(outside);
  const database = await prepareDatabase(t, outside);
  const name = await createFunction(platform, 'connected', {
    code: { ...database?.packages, 'index.js': SOURCE },
    fields: {
      memorySize: 256,
      instanceLifecycleConfig: { initializer: { handler: 'index.initializer', timeout: 20 } },
      environmentVariables: {
        SERVER: server,
        THAW_FREEZE_AFTER_MS: '0',
        ...(database === undefined ? {} : { DATABASE: database.url }),
      },
    },
  });

  const agent = new Agent({ keepAlive: true });
  afterTest(t, () => agent.destroy());
  const seen = new Set<string>();
  for (let cycle = 0; cycle <= CYCLES; cycle += 1) {
    const answer = await invokeWith(agent, platform, name);
    assert.equal(answer.headers['x-fc-error-type'], undefined, answer.body.toString());
    const { connection, backend, query } = jsonOf<Seen>(answer);
    if (database !== undefined) assert.equal(query, cycle + 1, 'the database answered every query');
    seen.add(JSON.stringify([answer.headers['x-fc-instance-id'], connection, backend]));
    assert.equal(/\bthaw;dur=/u.test(String(answer.headers['server-timing'])), cycle > 0, 'it was frozen');
    await waitFor(`freeze ${cycle + 1}`, async () => {
      const frozen = { function: name, state: 'frozen' };
      return metric(await readMetrics(platform), 'thaw_instances', frozen) === 1;
    });
  }
  assert.equal(seen.size, 1, `one instance, one connection and one session served all: ${[...seen].join()}`);
});

interface Seen {
  readonly connection: string;
  /** The database's process that serves the session. */
  readonly backend?: number;
  /** How many queries the session has run. */
  readonly query?: number;
}

const SOURCE = `
  const http = require('node:http');
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const ask = () => new Promise((resolve, reject) => {
    http.get(process.env.SERVER, { agent }, (response) => {
      let text = '';
      response.on('data', (chunk) => { text += chunk; });
      response.on('end', () => resolve(text));
    }).on('error', reject);
  });
  let client;
  exports.initializer = async () => {
    if (process.env.DATABASE === undefined) return;
    const { Client } = require('pg');
    client = new Client({ connectionString: process.env.DATABASE });
    await client.connect();
    await client.query('create temporary sequence queries');
  };
  exports.handler = async () => {
    const [connection, result] = await Promise.all([
      ask(),
      client?.query("select pg_backend_pid() as backend, nextval('queries')::int as query"),
    ]);
    return { connection, ...result?.rows[0] };
  };`;

async function startPinger(outside: Outside): Promise<string> {
  const program = outside.start(process.execPath, [join(import.meta.dirname, 'outside/pinger.mjs')]);
  const [, port] = await program.line(/^port (\d+)$/u);
  return `http://${outside.address}:${port}/`;
}

/** Without a database on this machine, or npm for its client, the HTTP connection alone is tried, and the test says so. */
async function prepareDatabase(
  t: TestContext,
  outside: Outside,
): Promise<{ url: string; packages: Record<string, Buffer> } | undefined> {
  const bin = await postgresPrograms();
  const missing = bin === undefined ? 'not installed: PostgreSQL' : await missingNpmIndex();
  if (bin === undefined || missing !== undefined) {
    await t.test('a database connection', { skip: missing ?? true }, () => undefined);
    return undefined;
  }
  const [url, packages] = await Promise.all([
    startPostgres(t, outside, bin),
    installedPackages(t, { pg: '8.16.3' }),
  ]);
  return { url, packages };
}

/** InvokeFunction on a connection that is kept: a thousand calls need no thousand connections. */
function invokeWith(agent: Agent, platform: Platform, name: string): Promise<Answer> {
  const parts = sign(platform, {
    method: 'POST',
    path: `${API}/functions/${name}/invocations`,
    headers: { 'content-type': 'application/octet-stream' },
  });
  return send(platform.url, { ...parts, agent });
}
