/** As in a manifest: what a blob is, the digest of its bytes (`sha256:<hex>`) and how many they are. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** What an image says of how it is to be run. Absent texts are empty, absent lists are empty. */
export interface ImageConfig {
  /** In the order of the image; the last one of a name counts. */
  readonly environment: Readonly<Record<string, string>>;
  /** `user`, `uid`, `user:group` or `uid:gid`; empty: root. */
  readonly user: string;
  readonly workingDirectory: string;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  /** TCP ports that the image says it listens at, lowest first. */
  readonly ports: readonly number[];
  readonly architecture: string;
  readonly os: string;
}

/** One image for this machine's platform, known by the digest of its own manifest (never by that of an index). */
export interface Image {
  /** `sha256:<hex>` of the manifest. */
  readonly digest: string;
  readonly config: ImageConfig;
  readonly configDescriptor: Descriptor;
  /** From the lowest up. */
  readonly layers: readonly ImageLayer[];
}

export interface ImageLayer extends Descriptor {
  /** `sha256:<hex>` of the uncompressed tar. */
  readonly diffId: string;
}
