import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { missing, present, PROGRAMS } from '../contestants/contestant.ts';
import { startNginx } from '../contestants/http-contestants.ts';
import { measureThroughput, ratioVerdict } from '../measure-throughput.ts';
import type { Scenario } from '../scenario.ts';

export const scenario: Scenario = {
  name: 'warm-throughput-python',
  title: 'Warm throughput, Python',
  shows:
    'The same through the Python shim: an event function in Python, with as many instances as there are connections, ' +
    'and with one instance that takes 100 requests at once. Held against the Node server behind nginx, for want of a ' +
    'Python peer that would be faster. 32 connections that send one POST after the other.',
  charts: ['throughput'],

  async run(context) {
    const thaw = await context.startThaw();
    const files = { 'index.py': await readFile(join(PROGRAMS, 'handler.py')) };
    const one = { runtime: 'python3', files, fields: { instanceConcurrency: 100 } };
    const shared = await thaw.deploy('one-instance', one);
    const many = await thaw.deploy('many-instances', { runtime: 'python3', files });
    const peers = [await startNginx(context)];
    const measurements = await measureThroughput(context, [
      { name: 'thaw, one instance', url: shared },
      { name: 'thaw, 32 instances', url: many },
      ...present(peers),
    ]);
    return {
      measurements,
      verdicts: ratioVerdict(measurements, 'nginx', 0.8, 'thaw, one instance'),
      notes: missing(peers),
    };
  },
};
