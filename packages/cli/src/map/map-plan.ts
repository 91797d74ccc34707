import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { z } from 'zod';
import type { MapInput } from './map-inputs.ts';

const PLAN_FILE = '.thaw-map.json';
/** What its own file names would be hidden behind. */
const RESERVED = new Set([PLAN_FILE]);

const planSchema = z.object({
  mapId: z.string(),
  functionName: z.string(),
  qualifier: z.string().optional(),
  inputsDigest: z.string(),
  /** By name of input: how many tasks of it have failed. */
  failures: z.record(z.string(), z.int().min(1)),
});
type StoredPlan = z.infer<typeof planSchema>;

export interface MapRequest {
  readonly functionName: string;
  readonly qualifier: string | undefined;
  readonly inputs: readonly MapInput[];
  readonly directory: string;
}

/**
 * What a map is about, kept beside its results, so that the same command goes on where an earlier one was interrupted:
 * each input has a task id of its own, and the platform runs no task id twice.
 */
export class MapPlan {
  readonly directory: string;
  readonly isResumed: boolean;
  #stored: StoredPlan;
  #writing: Promise<void> = Promise.resolve();

  private constructor(directory: string, stored: StoredPlan, isResumed: boolean) {
    this.directory = directory;
    this.#stored = stored;
    this.isResumed = isResumed;
  }

  /** Throws INVALID_ARGUMENT where the directory belongs to another map. */
  static async open({ functionName, qualifier, inputs, directory }: MapRequest): Promise<MapPlan> {
    requireNames(inputs);
    await mkdir(directory, { recursive: true }).catch((cause: unknown) => {
      throw new ThawError('INVALID_ARGUMENT', `making the directory ${directory}`, { cause });
    });
    const inputsDigest = digestOf(inputs);
    const found = await readPlan(directory);
    if (found === undefined) {
      const mapId = randomBytes(6).toString('hex');
      const stored: StoredPlan = {
        mapId,
        functionName,
        ...(qualifier === undefined ? {} : { qualifier }),
        inputsDigest,
        failures: {},
      };
      const plan = new MapPlan(directory, stored, false);
      await plan.#write();
      return plan;
    }
    const isSame =
      found.functionName === functionName &&
      found.qualifier === qualifier &&
      found.inputsDigest === inputsDigest;
    if (isSame) return new MapPlan(directory, found, true);
    throw new ThawError(
      'INVALID_ARGUMENT',
      `${directory} holds the results of another map, of '${found.functionName}' or of other inputs`,
      { details: { advice: 'Give another directory with -o, or remove this one.' } },
    );
  }

  /** A failed task is over, so the next try of its input is another task. */
  taskId(index: number, input: MapInput): string {
    return `map-${this.#stored.mapId}-${index}-${this.#stored.failures[input.name] ?? 0}`;
  }

  async countFailure(input: MapInput): Promise<void> {
    const failures = { ...this.#stored.failures, [input.name]: (this.#stored.failures[input.name] ?? 0) + 1 };
    this.#stored = { ...this.#stored, failures };
    await this.#write();
  }

  resultFile(input: MapInput): string {
    return join(this.directory, input.name);
  }

  /** One write after the other: they share the name under which the file is made. */
  #write(): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      const file = join(this.directory, PLAN_FILE);
      await writeFile(`${file}.new`, JSON.stringify(this.#stored));
      await rename(`${file}.new`, file);
    });
    return this.#writing;
  }
}

function requireNames(inputs: readonly MapInput[]): void {
  const names = new Set<string>();
  for (const { name } of inputs) {
    if (names.has(name) || RESERVED.has(name) || basename(name) !== name) {
      throw new ThawError('INVALID_ARGUMENT', `two results would be named '${name}'`, {
        details: { advice: 'Results are named after their inputs, so names of inputs must differ.' },
      });
    }
    names.add(name);
  }
}

function digestOf(inputs: readonly MapInput[]): string {
  const hash = createHash('sha256');
  for (const { name, digest } of inputs) hash.update(`${name}\0${digest}\n`);
  return hash.digest('hex');
}

async function readPlan(directory: string): Promise<StoredPlan | undefined> {
  const file = join(directory, PLAN_FILE);
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return planSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new ThawError('INVALID_ARGUMENT', `${file} is not what 'thaw map' writes`, { cause });
  }
}
