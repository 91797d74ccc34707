import type { BenchContext } from '../context.ts';
import type { Measurement, Unit, Verdict } from '../scenario.ts';
import type { ThawOptions } from '../machine/thaw.ts';
import { median } from '../statistics.ts';
import { dropCaches, ImageNode, type FirstRequest, type ImageStart } from './image-node.ts';
import type { BuiltImage } from './image-set.ts';
import type { ShapedLink } from './shaped-link.ts';

/** One image in the registry, as anybody pushes it, and where copies of its layers are that can be read in parts. */
export interface PublishedImage {
  readonly name: string;
  /** Of a platform that has the whole image. */
  readonly localOptions: ThawOptions;
  /** Of one that has what it needs. */
  readonly options: ThawOptions;
  readonly link: ShapedLink;
  /** What the registry has by now stays in memory: it stands for another machine. */
  readonly hold: () => Promise<void>;
}

export const MODES = {
  warm: 'all local, in memory',
  cold: 'all local, on disk',
  pull: 'full pull',
  untraced: 'thaw, lazy, no trace',
  replay: 'thaw, lazy with replay',
  second: 'thaw, second start',
} as const;

/** These take long and differ little from round to round. */
const LONG_ROUNDS_MAX = 2;
const LOCAL_ROUNDS_MAX = 4;
const REPLAYS_MAX = 3;
const COLD_FACTOR = 1.25;
const PULL_FACTOR = 4;
const COLD_MARGIN_MS = 300;

export function responseOf(title: string): string {
  return `first response, ${title}`;
}

/** All that is measured of one image. Each node is started anew for each first start, and the page cache emptied. */
export async function measureImage(
  context: BenchContext,
  image: BuiltImage,
  published: PublishedImage,
): Promise<{ readonly measurements: readonly Measurement[]; readonly verdicts: readonly Verdict[] }> {
  const figures = new Figures(context, image.title);
  const request = await measureLocal(context, image, published, figures);
  await measureLazy(context, published, request, figures);
  return { measurements: figures.measurements(), verdicts: verdictsOf(image.title, figures) };
}

/** The document's grey base, and what a machine does that pulls. Gives the request that images are asked with. */
async function measureLocal(
  context: BenchContext,
  image: BuiltImage,
  { name, localOptions }: PublishedImage,
  figures: Figures,
): Promise<FirstRequest> {
  const node = await ImageNode.start(context, localOptions);
  await node.deploy({ name: 'whole', image: name, accelerationType: 'None' });
  await node.untilActive('whole');
  const request = await image.request(node, 'whole');
  for (let round = 0; round < Math.min(LOCAL_ROUNDS_MAX, context.rounds); round += 1) {
    await node.restart();
    await node.untilActive('whole');
    dropCaches();
    figures.add(MODES.cold, 'ms', await node.responseMs('whole', request));
    await node.untilNoInstance('whole');
    figures.add(MODES.warm, 'ms', await node.responseMs('whole', request));
    await node.untilNoInstance('whole');
  }
  for (let round = 0; round < Math.min(LONG_ROUNDS_MAX, context.rounds); round += 1) {
    await node.startEmpty();
    const pullMs = await node.untilActive('whole');
    figures.add(MODES.pull, 'ms', pullMs + (await node.responseMs('whole', request)));
  }
  await node.stop();
  return request;
}

async function measureLazy(
  context: BenchContext,
  { name, options, link, hold }: PublishedImage,
  request: FirstRequest,
  figures: Figures,
): Promise<void> {
  const node = await ImageNode.start(context, options);
  await node.deploy({ name: 'lazy', image: name, accelerationType: 'Default' });
  await node.untilActive('lazy');
  const start = async (mode: string): Promise<ImageStart> => {
    const bytesBefore = await link.bytes();
    await node.startEmpty();
    const indexMs = await node.untilActive('lazy');
    const bytesOfIndex = (await link.bytes()) - bytesBefore;
    dropCaches();
    const ms = await node.responseMs('lazy', request);
    await node.untilNoInstance('lazy');
    const report = await node.report('lazy', 1);
    const bytes = (await link.bytes()) - bytesBefore - bytesOfIndex;
    figures.add(mode, 'ms', ms);
    figures.add(mode, 'ms', indexMs + ms, 'on a node that knows nothing of the image');
    figures.add(mode, 'MB', bytesOfIndex / 1e6, 'index from the registry');
    figures.add(mode, 'MB', bytes / 1e6, 'content from the registry');
    if (report.lazy === undefined) throw new Error(`a start was not lazy: ${report.reason}`);
    const { touched, requests, replay } = report.lazy;
    figures.add(mode, 'MB', touched.packedBytes / 1e6, 'content that was read, compressed');
    figures.add(mode, 'MB', touched.bytes / 1e6, 'content that was read, plain');
    figures.add(mode, '', requests['registry'] ?? 0, 'requests to the registry');
    figures.add(mode, 'x', bytes / touched.packedBytes, 'from the registry, against what was read');
    if (replay !== undefined)
      figures.add(mode, '%', (100 * replay.misses) / replay.demanded, 'read, and not named by the trace');
    return report;
  };
  for (let round = 0; round < Math.min(LONG_ROUNDS_MAX, context.rounds); round += 1) {
    if (round > 0) await node.forgetTrace('lazy');
    await start(MODES.untraced);
    figures.add(MODES.untraced, 'MB', (await node.untilPacked('lazy')) / 1e6, 'pack of what was read');
  }
  await hold();
  for (let round = 0; round < Math.min(REPLAYS_MAX, context.rounds); round += 1) {
    await start(MODES.replay);
    figures.add(MODES.second, 'ms', await node.responseMs('lazy', request));
    await node.untilNoInstance('lazy');
    const { lazy: second } = await node.report('lazy', 2);
    const { memory, ...others } = second?.demanded ?? {};
    const below = Object.values(others).reduce((sum, { bytes }) => sum + bytes, 0);
    const fromMemory = memory?.bytes ?? 0;
    figures.add(MODES.second, '%', (100 * fromMemory) / (fromMemory + below), 'served by memory');
  }
  await node.stop();
}

function verdictsOf(title: string, figures: Figures): Verdict[] {
  const cold = figures.median(MODES.cold);
  const replay = figures.median(MODES.replay);
  const fromNothing = figures.median(MODES.replay, 'on a node that knows nothing of the image');
  return [
    {
      claim: `${title}: lazy with replay (${COLD_FACTOR} x all local on disk + ${COLD_MARGIN_MS} ms)`,
      sense: 'at most',
      bound: COLD_FACTOR * cold + COLD_MARGIN_MS,
      value: replay,
      unit: 'ms',
    },
    {
      claim: `${title}: full pull against lazy with replay`,
      sense: 'at least',
      bound: PULL_FACTOR,
      value: figures.median(MODES.pull) / replay,
      unit: 'x',
    },
    {
      claim: `${title}: the same on a node that knows nothing of the image, with the time of the index`,
      sense: 'at least',
      bound: PULL_FACTOR,
      value: figures.median(MODES.pull) / fromNothing,
      unit: 'x',
    },
    {
      claim: `${title}: second start against all local in memory`,
      sense: 'at most',
      bound: 1.1,
      value: figures.median(MODES.second) / figures.median(MODES.warm),
      unit: 'x',
    },
    ...[MODES.untraced, MODES.replay].map((mode): Verdict => ({
      claim: `${title}: bytes from the registry against what the start reads, compressed (${mode})`,
      sense: 'at most',
      bound: 1.1,
      value: figures.median(mode, 'from the registry, against what was read'),
      unit: 'x',
    })),
    {
      claim: `${title}: read, and not named by the trace`,
      sense: 'at most',
      bound: 5,
      value: figures.median(MODES.replay, 'read, and not named by the trace'),
      unit: '%',
    },
  ];
}

/** Values by mode and figure, in the order in which they came first. */
class Figures {
  readonly #context: BenchContext;
  readonly #title: string;
  readonly #all = new Map<string, { readonly measurement: Measurement; readonly values: number[] }>();

  constructor(context: BenchContext, title: string) {
    this.#context = context;
    this.#title = title;
  }

  add(mode: string, unit: Unit, value: number, what = 'first response'): void {
    const key = `${mode}: ${what}`;
    const known = this.#all.get(key);
    this.#context.say(`${this.#title}, ${key}: ${value.toFixed(unit === 'ms' ? 0 : 2)} ${unit}`);
    if (known !== undefined) {
      known.values.push(value);
      return;
    }
    const values = [value];
    const measurement = { subject: mode, what: `${what}, ${this.#title}`, unit, values };
    this.#all.set(key, { measurement, values });
  }

  median(mode: string, what = 'first response'): number {
    return median(this.#all.get(`${mode}: ${what}`)?.values ?? []);
  }

  measurements(): Measurement[] {
    return [...this.#all.values()].map(({ measurement }) => measurement);
  }
}
