import type { Timeline, TimelinePhase } from '@thaw/protocol/timeline.ts';
import { formatMs } from './format.ts';

/** Width of the bars where a command draws them: with labels and numbers it fits 80 columns. */
export const TIMELINE_CHARACTERS = 48;

/** Phases that make up the wait for an instance on a cold start, in the order in which they happen. */
const COLD_PHASES = ['stem', 'sandbox', 'boot', 'load', 'initializer'] as const;

const LABELS: Readonly<Record<TimelinePhase, string>> = {
  queued: 'queued',
  placed: 'placed',
  sandbox: '  sandbox',
  stem: '  stem',
  boot: '  boot',
  load: '  load',
  initializer: '  initializer',
  thaw: '  thaw',
  handler: 'handler',
  firstByte: 'first byte',
  lastByte: 'last byte',
  preFreeze: 'pre-freeze',
};

interface Span {
  readonly phase: TimelinePhase;
  readonly startMs: number;
  readonly endMs: number;
  /** A moment, counted from the start, rather than a stretch of time. */
  readonly isMoment: boolean;
}

/** Whether an instance had to be started for the invocation. */
export function isColdStart(timeline: Timeline): boolean {
  return COLD_PHASES.some((phase) => timeline[phase] !== undefined);
}

/** `cold start · 41.2 ms (queued 30.1 ms, handler 10.9 ms)`, as far as the timeline knows. */
export function summarizeTimeline(timeline: Timeline): string {
  const total = timeline.lastByte ?? timeline.firstByte;
  const start = isColdStart(timeline) ? 'cold start' : timeline.thaw === undefined ? 'warm' : 'thawed';
  const parts = (['queued', 'thaw', 'handler'] as const).flatMap((phase) => {
    const ms = timeline[phase];
    return ms === undefined ? [] : [`${phase} ${formatMs(ms)}`];
  });
  const head = total === undefined ? start : `${start} · ${formatMs(total)}`;
  return parts.length === 0 ? head : `${head} (${parts.join(', ')})`;
}

/**
 * One bar per phase, `width` characters for the whole invocation. The phases of a cold start end where the wait for the
 * instance ends; a thaw ends where placing ends; first and last byte are moments.
 */
export function drawTimeline(timeline: Timeline, width: number): string[] {
  const spans = layOut(timeline);
  const totalMs = Math.max(...spans.map((span) => span.endMs), 0);
  if (spans.length === 0 || totalMs <= 0) return [];
  const labelWidth = Math.max(...spans.map((span) => LABELS[span.phase].length));
  return spans.map((span) => {
    const label = LABELS[span.phase].padEnd(labelWidth);
    const ms = formatMs(timeline[span.phase] ?? 0).padStart(10);
    return `${label}  ${drawBar(span, totalMs, width)}  ${ms}`;
  });
}

function layOut(timeline: Timeline): Span[] {
  const spans: Span[] = [];
  const queued = timeline.queued ?? 0;
  const placedEnd = queued + (timeline.placed ?? 0);
  const stretch = (phase: TimelinePhase, startMs: number): void => {
    const ms = timeline[phase];
    if (ms !== undefined)
      spans.push({ phase, startMs: Math.max(0, startMs), endMs: Math.max(0, startMs) + ms, isMoment: false });
  };
  stretch('queued', 0);
  const coldMs = COLD_PHASES.reduce((sum, phase) => sum + (timeline[phase] ?? 0), 0);
  let coldStart = Math.max(0, queued - coldMs);
  for (const phase of COLD_PHASES) {
    stretch(phase, coldStart);
    coldStart += timeline[phase] ?? 0;
  }
  stretch('placed', queued);
  stretch('thaw', placedEnd - (timeline.thaw ?? 0));
  stretch('handler', placedEnd);
  for (const phase of ['firstByte', 'lastByte'] as const) {
    const ms = timeline[phase];
    if (ms !== undefined) spans.push({ phase, startMs: ms, endMs: ms, isMoment: true });
  }
  return spans;
}

function drawBar(span: Span, totalMs: number, width: number): string {
  const start = Math.min(width - 1, Math.floor((span.startMs / totalMs) * width));
  const end = Math.max(start + 1, Math.min(width, Math.round((span.endMs / totalMs) * width)));
  const mark = span.isMoment ? '│' : '█';
  return `${' '.repeat(start)}${mark.repeat(end - start)}`.padEnd(width);
}
