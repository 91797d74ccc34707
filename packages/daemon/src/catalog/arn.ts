/** Names of resources as FC writes them: `acs:fc:<region>:<account>:<kind>/<name>`. */

/** Whose resources these are; one platform has one account in one region. */
export interface AccountPlace {
  readonly region: string;
  readonly accountId: string;
}

export function functionArn(place: AccountPlace, functionName: string, qualifier?: string): string {
  const arn = `acs:fc:${place.region}:${place.accountId}:functions/${functionName}`;
  return qualifier === undefined ? arn : `${arn}/${qualifier}`;
}

export function layerVersionArn(place: AccountPlace, layerName: string, version: number): string {
  return `acs:fc:${place.region}:${place.accountId}:layers/${layerName}/versions/${version}`;
}

/** Layer and version of an ARN. Region and account may be anybody's: files from elsewhere name their own. */
export function parseLayerVersionArn(
  arn: string,
): { readonly layerName: string; readonly version: number } | undefined {
  const match = /^acs:fc:[^:]*:[^:]*:layers\/([A-Za-z_][A-Za-z0-9_-]*)\/versions\/([1-9][0-9]{0,8})$/.exec(
    arn,
  );
  if (match?.[1] === undefined) return undefined;
  return { layerName: match[1], version: Number(match[2]) };
}

/** The function's name in a function ARN, or the text itself when it is a plain name. */
export function functionNameOf(resource: string): string {
  const match = /^acs:fc:[^:]*:[^:]*:functions\/([^/]+)/.exec(resource);
  return match?.[1] ?? resource;
}
