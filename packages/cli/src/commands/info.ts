import { nativePath } from '../api/client.ts';
import type { InfoAnswer } from '../api/wire.ts';
import type { Command } from '../command.ts';
import { formatPairs } from '../output/output.ts';

export const command: Command = {
  name: 'info',
  summary: 'show the platform: where it is, how it isolates, what it runs',
  examples: [{ run: 'thaw info', does: 'the platform of the default data directory' }],
  run: async ({ output, connect }) => {
    const client = await connect();
    const info = await client.json<InfoAnswer>({ method: 'GET', path: nativePath('info') });
    output.result(info, () => {
      const runtimes = (info.runtimes ?? []).map(
        ({ name, version, path }) => `${name} ${version ?? ''}  ${output.style('dim', path ?? '')}`,
      );
      return formatPairs(output, [
        ['version', info.version],
        ['url', info.url ?? client.platform.url],
        ['data', info.dataDir],
        ['isolation', info.isolation],
        ['stems', stemsText(info.stems)],
        ['runtimes', runtimes.join('\n')],
      ]);
    });
    if (!output.isJson) for (const warning of info.warnings ?? []) output.warn(warning);
  },
};

function stemsText(stems: InfoAnswer['stems']): string | undefined {
  if (stems === undefined) return undefined;
  if (stems.unavailable !== undefined) return `none: ${stems.unavailable}`;
  return stems.perKind === 0
    ? 'off'
    : `${stems.waiting} ready, ${stems.perKind} for each of ${stems.kinds} kinds; ${stems.loaded ?? 0} with code loaded`;
}
