/**
 * The process that pulls images: hashing, decompressing and writing a million files must not keep the gateway from its
 * requests, and what reads strangers' archives should not hold everybody's memory. It lives as long as its channel.
 */
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { openSource } from '../open-source.ts';
import { ImagePuller } from './image-puller.ts';
import type { PullAnswer, PullOptions, PullRequest } from './puller-messages.ts';

const options: PullOptions = JSON.parse(process.argv[2] ?? '{}');
const puller = new ImagePuller(options.directory);

async function answer({ id, image, reference, setting }: PullRequest): Promise<PullAnswer> {
  const source = openSource(reference, setting, options.insecureRegistries);
  try {
    return { id, path: await puller.pull(image, source) };
  } catch (thrown) {
    const { code, message } = ThawError.from(thrown, `pulling image ${image.digest}: ${String(thrown)}`);
    return { id, code, message };
  } finally {
    await source.close();
  }
}

process.on('message', (request: PullRequest) => {
  void answer(request).then((answered) => {
    if (process.connected) process.send?.(answered, () => undefined);
  });
});
// The daemon is gone: half a pull is nothing.
process.on('disconnect', () => process.exit(0));
// A terminal sends these to the whole process group; the daemon decides when this process ends.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
