/** Limits that callers can run into, FC's defaults where FC has one (compatibility notes in docs/SPECIFICATION.md). */
export const LIMITS = {
  /** Body of a synchronous call on the invoke API; its answer streams without a limit. */
  syncPayloadBytesMax: 32 * 1024 * 1024,
  /** Payload of an asynchronous invocation, body of an asynchronous HTTP request included. */
  asyncPayloadBytesMax: 64 * 1024 * 1024,
  /** Body of any control call except code upload. */
  controlBodyBytesMax: 1024 * 1024,
  /** Body of a control call that carries a base64 zip of up to 100 MiB. */
  codeUploadBodyBytesMax: 140 * 1024 * 1024,
  /** A zip as uploaded, on the base64 path and on the object path. */
  codeZipBytesMax: 100 * 1024 * 1024,
  codeObjectBytesMax: 500 * 1024 * 1024,
  /** All files of a zip, unpacked. */
  codeUnpackedBytesMax: 2 * 1024 * 1024 * 1024,
  codeEntriesMax: 200_000,
  /** All layers of an image as they come, and all files of it unpacked. */
  imageBytesMax: 16 * 1024 ** 3,
  imageEntriesMax: 1_000_000,
  imageLayersMax: 128,
  requestHeaderBytesMax: 16 * 1024,
  urlBytesMax: 8 * 1024,
  functionTimeoutSMax: 86_400,
  functionTimeoutSDefault: 3,
  initializerTimeoutSMax: 300,
  initializerTimeoutSDefault: 3,
  hookTimeoutSMax: 90,
  /** From the start of a web server of the user's own until it listens and, where it is asked, is well. */
  serverStartSMax: 120,
  memoryMbMin: 128,
  memoryMbMax: 32_768,
  memoryMbDefault: 512,
  environmentBytesMax: 4 * 1024,
  layersPerFunctionMax: 5,
  triggersPerFunctionMax: 50,
  instanceConcurrencyMax: 200,
  instancesPerFunctionMax: 300,
  processesPerInstanceMax: 1024,
  openFilesPerInstanceMax: 100_000,
  /** Tail of the log in `x-fc-log-result`, before base64. */
  logTailBytesMax: 4 * 1024,
  /** How far the signing clock may be off, either way. */
  clockSkewMs: 15 * 60 * 1000,
  /** Buckets of the object store. */
  bucketsMax: 1000,
  /** A key in UTF-8. */
  objectKeyBytesMax: 1024,
  /** An object put whole, or a part. */
  objectPutBytesMax: 5 * 1024 * 1024 * 1024,
  objectBytesMax: 5 * 1024 * 1024 * 1024 * 1024,
  /** Every part of an object but the last. */
  partBytesMin: 5 * 1024 * 1024,
  partsMax: 10_000,
  /** Uploads in parts that were neither completed nor aborted. */
  uploadsPerBucketMax: 1000,
  listLimitMax: 100,
  listLimitDefault: 20,
} as const;
