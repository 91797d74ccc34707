import { imageVariant } from '../image-variant.ts';
import { sandboxContract } from '../sandbox-contract.ts';

await sandboxContract('bubblewrap', imageVariant('bubblewrap with an image', undefined));
