import type { AliasAnswer } from '../../api/wire.ts';

/** `2 80 %, 3 20 %`: which versions get how much of the traffic. */
export function describeTraffic(alias: AliasAnswer): string {
  const further = Object.entries(alias.additionalVersionWeight ?? {});
  const rest = 1 - further.reduce((sum, [, weight]) => sum + weight, 0);
  return [[alias.versionId, rest] as const, ...further]
    .map(([version, weight]) => `${version} ${Number((weight * 100).toFixed(2))} %`)
    .join(', ');
}
