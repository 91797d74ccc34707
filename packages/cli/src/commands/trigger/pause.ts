import { pauseCommand } from './set-paused.ts';

export const command = pauseCommand('pause', {
  summary: 'let a trigger deliver nothing until it is resumed',
  details:
    'Messages stay in their queue and changes in their database meanwhile; times that pass and events on a bus are not made up for.',
  examples: [{ run: 'thaw trigger pause report nightly', does: 'no report tonight' }],
});
