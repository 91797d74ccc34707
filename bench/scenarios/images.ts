import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { LayerCopies } from '@thaw/daemon/image/copies/layer-copies.ts';
import { LayoutSource } from '@thaw/daemon/image/oci/layout-source.ts';
import { readImage } from '@thaw/daemon/image/oci/read-image.ts';
import { canServeBlobs } from '../images/blob-server.ts';
import { missingForRegistry, startBenchRegistry, type BenchRegistry } from '../images/bench-registry.ts';
import { ImageNode } from '../images/image-node.ts';
import { findImages, IMAGES, IMAGES_DIRECTORY, type BuiltImage } from '../images/image-set.ts';
import { measureImage, responseOf } from '../images/measure-image.ts';
import { missingForLink, startShapedLink, type ShapedLink } from '../images/shaped-link.ts';
import type { ThawOptions } from '../machine/thaw.ts';
import { BenchContext } from '../context.ts';
import { verdictLine } from '../report/verdict-line.ts';
import type { Measurement, Scenario, Verdict } from '../scenario.ts';
import { within } from '../within.ts';

/** Where machines leave converted layers for each other. */
const COPIES = 'thaw/copies';
/** Which image a quick run takes; absent: the smallest. */
const ONE_VARIABLE = 'THAW_BENCH_IMAGE';
/** An image that takes longer has gone wrong; the next one is still measured. */
const IMAGE_MS_MAX = 6 * 60_000;
const LINK = { bitsPerSecond: 1_000_000_000, roundTripMs: 5 };

export const scenario: Scenario = {
  name: 'images',
  title: 'Container images',
  shows:
    "Time to first response of functions in the four images of the document, seen by the caller: the document's grey base " +
    'has the whole image unpacked on the machine, on disk alone or in memory as well; against a full pull, the lazy mount ' +
    "with nothing known of the function, the same with the function's trace replayed (from the pack that the machine of the " +
    'start before has left beside the copies of layers, once it is there), and another instance on the same ' +
    "machine. Images come as anybody builds them from Debian's `docker-registry`, and with them the copies of their layers that " +
    'another machine has converted (`--image-copies`); as the registries of clouds do, it sends clients elsewhere for ' +
    'the blobs: to an nginx beside it. Both stand in a network namespace behind a line of 1 Gbit/s (`tbf` of the kernel) ' +
    'with a round trip of 5 ms, and keep their files in memory, since they stand for other machines. Each first ' +
    'start is on a node that was started anew, with nothing of the image (or all of it, for the base) and an empty page ' +
    'cache, and so is the start of the base from disk: both sides have a platform that has just begun, and read what they ' +
    'read from the same disk. The registry, nginx and the link take their processor time from the machine that is ' +
    'measured, in the full pull and in lazy starts and not in the base. The full pull includes the pull; lazy starts begin with the index (names, modes, where each chunk is), which ' +
    'comes with the deployment and is in the figure "on a node that knows nothing of the image". ' +
    '`examples/images/build.sh` builds the images.',
  charts: IMAGES.map(({ title }) => responseOf(title)),

  async run(context) {
    const measurements: Measurement[] = [];
    const verdicts: Verdict[] = [];
    const { images, missing } = findImages();
    const notes = [...missing];
    const lacking = missingHere();
    if (lacking !== undefined) notes.push(lacking);
    for (const note of notes) context.say(note);
    if (lacking !== undefined || images.length === 0) {
      // A run that measures nothing is no reason to forget what was published.
      if (!context.quick) throw new Error(notes.join('; '));
      return { measurements, verdicts, notes };
    }
    const link = await startLink(context, notes);
    if (link === undefined) return { measurements, verdicts, notes };
    const registry = await startBenchRegistry(context, link, join(IMAGES_DIRECTORY, 'bench'));
    notes.push(
      "the link is a network namespace behind a pair of virtual devices: the kernel's `tbf` is the line of 1 Gbit/s, its " +
        'TCP does the rest, and a process holds requests and acknowledgements, which are few, for the round trip',
    );
    if (!canServeBlobs()) {
      notes.push('blobs come from the registry itself, since this machine has no nginx');
      context.say('no nginx: blobs come from the registry itself');
    }
    const one = process.env[ONE_VARIABLE] ?? 'flask';
    const chosen = images.find(({ name }) => name === one) ?? images[0];
    for (const image of context.quick ? [chosen].flatMap((each) => each ?? []) : images) {
      try {
        // Whatever becomes of an image, nothing of it runs beside the next.
        await using own = new BenchContext(context);
        const measured = publish(own, link, registry, image).then(async (repository) => {
          await registry.hold(own);
          return await measureImage(own, image, {
            name: `${registry.address}/${repository}:latest`,
            localOptions: localOptionsOf(link),
            options: optionsOf(link, registry.address),
            link,
            hold: () => registry.hold(own),
          });
        });
        const found = await within(IMAGE_MS_MAX, measured);
        measurements.push(...found.measurements);
        verdicts.push(...found.verdicts);
        for (const verdict of found.verdicts) context.say(verdictLine(verdict));
      } catch (error) {
        // What was measured of the others took minutes, and stands.
        notes.push(`${image.title} FAILED, and nothing of it is in the figures: ${String(error)}`);
        context.say(`${image.title} FAILED: ${error instanceof Error ? (error.stack ?? '') : String(error)}`);
      }
    }
    if (measurements.length === 0) throw new Error('no image could be measured');
    return { measurements, verdicts, notes };
  },
};

function missingHere(): string | undefined {
  if (process.getuid?.() !== 0) return 'nothing was measured: mounting images needs root';
  if (!existsSync('/dev/fuse')) return 'nothing was measured: this machine has no /dev/fuse';
  const programs = missingForRegistry() ?? missingForLink();
  return programs === undefined ? undefined : `nothing was measured: ${programs}`;
}

/** A kernel may lack parts that no program shows: a quick run says so, and measures nothing. */
async function startLink(context: BenchContext, notes: string[]): Promise<ShapedLink | undefined> {
  try {
    return await startShapedLink(context, LINK);
  } catch (error) {
    if (!context.quick) throw error;
    const note = `nothing was measured: ${error instanceof Error ? error.message : String(error)}`;
    notes.push(note);
    context.say(note);
    return undefined;
  }
}

/**
 * Pushes the image, and has one machine convert it for the others. Both stay in the registry's directory, so that only the
 * first run of an image takes this time.
 */
async function publish(
  context: BenchContext,
  link: ShapedLink,
  registry: BenchRegistry,
  { name, directory, digest }: BuiltImage,
): Promise<string> {
  const repository = `${name}-${digest.replace('sha256:', '').slice(0, 16)}`;
  if (!(await registry.has(repository, 'latest'))) {
    context.say(`pushing ${name}`);
    await registry.push(`oci:${directory}:latest`, repository, 'latest');
  }
  const copies = `${registry.nearAddress}/${COPIES}`;
  const finder = new LayerCopies({ repository: copies, setting: {}, pushes: false }, hostsOf(link));
  const source = new LayoutSource({ kind: 'layout', directory, tag: 'latest', digest: undefined });
  const { layers } = await readImage(source);
  const found = await Promise.all(layers.map((layer) => finder.find(layer)));
  await source.close();
  await finder.close();
  if (found.every((copy) => copy !== undefined)) return repository;
  context.say(`converting ${name}`);
  const node = await ImageNode.start(context, optionsOf(link, registry.nearAddress));
  const image = `${registry.nearAddress}/${repository}:latest`;
  await node.deploy({ name: 'converted', image, accelerationType: 'Default' });
  await node.untilConverted('converted');
  await node.stop();
  return repository;
}

function optionsOf(link: ShapedLink, registry: string): ThawOptions {
  const imageCopies = { repository: `${registry}/${COPIES}`, setting: {}, pushes: true };
  return { ...localOptionsOf(link), imageCopies };
}

function localOptionsOf(link: ShapedLink): ThawOptions {
  return { stems: 0, insecureRegistries: hostsOf(link) };
}

/** Those that may be asked over plain HTTP. */
function hostsOf({ host, nearHost }: ShapedLink): readonly string[] {
  return [host, nearHost];
}
