/** What the platform's API says of images, as far as the command line reads it. */
export interface ImageAnswer {
  readonly uri: string;
  readonly digest: string;
  readonly layerCount: number;
  /** Of all layers, as they come from the registry. */
  readonly bytes: number;
  readonly state: 'pending' | 'ready' | 'failed';
  readonly mode?: string;
  readonly reason?: string;
  readonly error?: { readonly code: string; readonly message: string };
  readonly instances: number;
  readonly usedBy: readonly { readonly functionName: string; readonly versionId: string }[];
}

export interface ImageDetails extends ImageAnswer {
  readonly config: {
    readonly environment: Readonly<Record<string, string>>;
    readonly user: string;
    readonly workingDirectory: string;
    readonly entrypoint: readonly string[];
    readonly command: readonly string[];
    readonly ports: readonly number[];
    readonly architecture: string;
    readonly os: string;
  };
  readonly layers: readonly { readonly digest: string; readonly size: number; readonly mediaType: string }[];
}
