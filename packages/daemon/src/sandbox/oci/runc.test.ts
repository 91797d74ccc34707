import { findProgram } from '../launcher/run-program.ts';
import { imageVariant } from '../image-variant.ts';
import { sandboxContract } from '../sandbox-contract.ts';

const skip =
  process.getuid?.() !== 0
    ? 'only root can run containers by runc'
    : findProgram('runc') === undefined
      ? 'not installed: runc'
      : undefined;
const variant = imageVariant('runc', 'runc');

await sandboxContract('bubblewrap', {
  ...variant,
  skip,
  without: {
    ...variant.without,
    '2 exit code and signal':
      'the command is the first process of its namespace, which the kernel spares what nobody handles',
    '1 runs the command with its environment': 'runc sets HOME where the image has a user',
    '7': 'shown by the drivers themselves; the other daemon has no image',
    '5 no privilege': 'an image has users of its own; see the test of rights below',
  },
});
