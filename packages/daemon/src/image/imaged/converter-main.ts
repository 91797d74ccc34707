/**
 * The process that converts one image: it reads strangers' archives and keeps a processor busy for as long as the image
 * is large, which neither the gateway nor those who wait for chunks should notice. It lives as long as its channel.
 */
import { constants, setPriority } from 'node:os';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
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

async function convert({ source: from, directory, insecureRegistries }: ConverterRequest): Promise<void> {
  const source = openSource(from.reference, from.setting, insecureRegistries);
  let answer: ConverterAnswer;
  try {
    const derived = new DerivedImages(directory);
    answer = { derived: await convertImage(from.image, source, { derived, directory }) };
  } catch (thrown) {
    const { code, message } = ThawError.from(
      thrown,
      `converting image ${from.image.digest}: ${String(thrown)}`,
    );
    answer = { code, message };
  } finally {
    await source.close();
  }
  process.send?.(answer, () => {
    if (process.connected) process.disconnect?.();
  });
}
