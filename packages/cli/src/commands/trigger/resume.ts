import { pauseCommand } from './set-paused.ts';

export const command = pauseCommand('resume', {
  summary: 'let a paused trigger deliver again',
  examples: [{ run: 'thaw trigger resume report nightly', does: 'from its next time on' }],
});
