import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { missing, present, PROGRAMS } from '../contestants/contestant.ts';
import { startDirect, startNginx } from '../contestants/http-contestants.ts';
import { measureThroughput, ratioVerdict } from '../measure-throughput.ts';
import type { Scenario } from '../scenario.ts';

export const scenario: Scenario = {
  name: 'warm-web-server',
  title: 'Warm web server',
  shows:
    'The same plain Node server as a function of runtime `custom` behind Thaw, behind nginx (one worker, unix socket, ' +
    'keep-alive) and alone. 32 connections that send one POST after the other.',
  charts: ['throughput'],

  async run(context) {
    const thaw = await context.startThaw();
    const url = await thaw.deploy('server', {
      runtime: 'custom',
      files: {
        'server.js': await readFile(join(PROGRAMS, 'server.js')),
        'handler.js': await readFile(join(PROGRAMS, 'handler.js')),
      },
      fields: {
        instanceConcurrency: 100,
        customRuntimeConfig: { command: ['node', 'server.js'], port: 9000 },
      },
    });
    const peers = [await startNginx(context), await startDirect(context)];
    const measurements = await measureThroughput(context, [{ name: 'thaw', url }, ...present(peers)]);
    return { measurements, verdicts: ratioVerdict(measurements, 'nginx', 0.9), notes: missing(peers) };
  },
};
