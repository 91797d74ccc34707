import {
  startDirect,
  startFunctionsFramework,
  startNginx,
  startWorkerd,
} from '../contestants/http-contestants.ts';
import { missing, present } from '../contestants/contestant.ts';
import { deployHello } from '../machine/hello.ts';
import { measureThroughput, ratioVerdict } from '../measure-throughput.ts';
import type { Scenario } from '../scenario.ts';

export const scenario: Scenario = {
  name: 'warm-throughput',
  title: 'Warm throughput, Node',
  shows:
    'The same handler, which answers an event with a greeting, as an event function of Thaw behind an HTTP trigger (one ' +
    'gateway process, one instance that takes 100 requests at once), as a plain Node server behind nginx (one worker, ' +
    'unix socket, keep-alive), as that server alone, in workerd and in functions-framework. 32 connections that send ' +
    'one POST after the other.',
  charts: ['throughput'],

  async run(context) {
    const { url } = await deployHello(context);
    const peers = [
      await startNginx(context),
      await startDirect(context),
      await startWorkerd(context),
      await startFunctionsFramework(context),
    ];
    const contestants = [{ name: 'thaw', url }, ...present(peers)];
    const measurements = await measureThroughput(context, contestants);
    return {
      measurements,
      verdicts: [
        ...ratioVerdict(measurements, 'nginx', 1.3),
        ...ratioVerdict(measurements, 'workerd', 2.5),
        ...ratioVerdict(measurements, 'functions-framework', 4),
      ],
      notes: missing(peers),
    };
  },
};
