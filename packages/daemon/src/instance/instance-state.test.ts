import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextState, type InstanceEvent, type InstanceState } from './instance-state.ts';

const STATES: Record<string, InstanceState> = {
  starting: { name: 'starting' },
  initializing: { name: 'initializing' },
  idle: { name: 'idle', sinceMs: 1 },
  preFreezing: { name: 'preFreezing', sinceMs: 1 },
  frozen: { name: 'frozen', sinceMs: 1 },
  'thawing 0': { name: 'thawing', inFlight: 0 },
  'thawing 1': { name: 'thawing', inFlight: 1 },
  'busy 1': { name: 'busy', inFlight: 1 },
  'busy 2': { name: 'busy', inFlight: 2 },
  'draining 0': { name: 'draining', inFlight: 0 },
  'draining 1': { name: 'draining', inFlight: 1 },
  stopped: { name: 'stopped' },
};

const EVENTS: readonly InstanceEvent[] = [
  { type: 'initializing' },
  { type: 'ready', atMs: 7 },
  { type: 'slotTaken' },
  { type: 'slotReleased', atMs: 9 },
  { type: 'preFreeze' },
  { type: 'preFreezeEnded' },
  { type: 'frozen' },
  { type: 'thawed', atMs: 9 },
  { type: 'drain' },
  { type: 'exited' },
];

const TABLE = `
state          initializing   ready          slotTaken      slotReleased   preFreeze      preFreezeEnded frozen         thawed         drain          exited
starting       initializing   idle           -              -              -              -              -              -              draining 0     stopped
initializing   -              idle           -              -              -              -              -              -              draining 0     stopped
idle           -              -              busy 1         -              preFreezing    -              frozen         -              draining 0     stopped
preFreezing    -              -              -              -              -              idle           -              -              draining 0     stopped
frozen         -              -              thawing 1      -              -              -              -              -              draining 0     stopped
thawing 0      -              -              thawing 1      -              -              -              -              idle           draining 0     stopped
thawing 1      -              -              thawing 2      thawing 0      -              -              -              busy 1         draining 1     stopped
busy 1         -              -              busy 2         idle           -              -              -              -              draining 1     stopped
busy 2         -              -              busy 3         busy 1         -              -              -              -              draining 2     stopped
draining 0     draining 0     draining 0     -              -              -              draining 0     -              draining 0     draining 0     stopped
draining 1     draining 1     draining 1     -              draining 0     -              draining 1     -              draining 1     draining 1     stopped
stopped        -              -              -              stopped        stopped        stopped        stopped        stopped        stopped        stopped
`;

test('every state answers every event as the table says', () => {
  const cell = (text: string): string => text.padEnd(15);
  const header = cell('state') + EVENTS.map((event) => cell(event.type)).join('');
  const rows = Object.entries(STATES).map(
    ([label, state]) => cell(label) + EVENTS.map((event) => cell(show(nextState(state, event)))).join(''),
  );
  const table = [header, ...rows].map((row) => row.trimEnd()).join('\n');
  assert.equal(table, TABLE.trim());
});

function show(state: InstanceState | undefined): string {
  if (state === undefined) return '-';
  return 'inFlight' in state ? `${state.name} ${state.inFlight}` : state.name;
}
