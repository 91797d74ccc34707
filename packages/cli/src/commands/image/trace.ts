import { nativePath } from '../../api/client.ts';
import type { Command } from '../../command.ts';
import { formatBytes, formatTime } from '../../output/format.ts';
import { formatTable } from '../../output/output.ts';

interface TraceAnswer {
  readonly versionKey: string;
  readonly image: string;
  readonly chunks: number;
  readonly isWanted: boolean;
  readonly recordings: readonly {
    readonly atMs: number;
    readonly windowMs: number;
    readonly chunks: number;
  }[];
  readonly pack: { readonly blob: string; readonly size: number; readonly imageBytes: number } | null;
}

interface Options {
  readonly clear?: boolean;
  readonly record?: boolean;
}

export const command: Command = {
  name: 'image trace',
  summary: 'show, forget or record again what functions read first of their images',
  details: 'The first start of a function from an image is recorded; later starts fetch those parts ahead.',
  arguments: [
    { name: 'function', summary: 'a function, or <function>@<revision>; absent: all', optional: true },
  ],
  options: [
    { flags: '--clear', summary: 'forget it; the next start is recorded' },
    { flags: '--record', summary: 'record the next start too, and go on using it meanwhile' },
  ],
  examples: [
    { run: 'thaw image trace', does: 'all that was recorded' },
    { run: 'thaw image trace web --record', does: 'its workload has changed' },
  ],
  run: async ({ output, connect }, [name = ''], { clear, record }: Options) => {
    const client = await connect();
    const path = name === '' ? nativePath('image-traces') : nativePath('image-traces', name);
    if (clear === true) {
      await client.send({ method: 'DELETE', path });
      output.result({ cleared: name }, () => [`forgot what ${name} reads first`]);
      return;
    }
    const method = record === true ? 'POST' : 'GET';
    const { traces } = await client.json<{ traces: readonly TraceAnswer[] }>({ method, path });
    output.result(traces, () => {
      if (traces.length === 0) return ['Nothing was recorded yet.'];
      const rows = traces.map((trace) => [
        trace.versionKey,
        trace.image.slice('sha256:'.length, 'sha256:'.length + 12),
        String(trace.chunks),
        String(trace.recordings.length),
        formatTime(trace.recordings.at(-1)?.atMs),
        trace.pack === null ? '' : formatBytes(trace.pack.size),
        trace.isWanted ? 'next start' : '',
      ]);
      return formatTable(
        output,
        ['VERSION', 'IMAGE', 'CHUNKS', 'RECORDINGS', 'LAST', 'PACK', 'RECORDED AGAIN'],
        rows,
      );
    });
  },
};
