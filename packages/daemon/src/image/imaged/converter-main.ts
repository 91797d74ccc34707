/**
 * The process that converts one image: it reads strangers' archives and keeps a processor busy for as long as the image
 * is large, which neither the gateway nor those who wait for chunks should notice. It lives as long as its channel.
 */
import { constants, setPriority } from 'node:os';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { LayerCopies } from '../copies/layer-copies.ts';
import { openSource } from '../open-source.ts';
import { convertImage } from './convert-image.ts';
import type { ConverterRequest, ConverterAnswer } from './converter.ts';
import { DerivedImages } from './derived-images.ts';

process.on('message', (request: ConverterRequest) => void convert(request));
process.on('disconnect', () => process.exit(0));
// A terminal sends these to the whole process group; whoever started this decides when it ends.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

async function convert(request: ConverterRequest): Promise<void> {
  const { source: from, directory, insecureRegistries } = request;
  const source = openSource(from.reference, from.setting, insecureRegistries);
  const copies =
    request.copies === undefined ? undefined : new LayerCopies(request.copies, insecureRegistries);
  const onProblem = (text: string, error: unknown): void => {
    const problem = `${text}: ${error instanceof Error ? error.message : String(error)}`;
    process.send?.({ problem } satisfies ConverterAnswer);
  };
  let answer: ConverterAnswer;
  try {
    const derived = new DerivedImages(directory);
    answer = { derived: await convertImage(from.image, source, { derived, directory, copies, onProblem }) };
  } catch (thrown) {
    const { code, message } = ThawError.from(
      thrown,
      `converting image ${from.image.digest}: ${String(thrown)}`,
    );
    answer = { code, message };
  } finally {
    await source.close();
    await copies?.close();
  }
  process.send?.(answer, () => {
    if (process.connected) process.disconnect?.();
  });
}
