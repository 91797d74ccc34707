import type { EventBridgeTriggerConfig } from '@thaw/protocol/fc/triggers/eventbridge.ts';
import { compileFilters } from './event-filters.ts';
import { compilePattern, type Matcher } from './event-pattern.ts';

/** Compiled once for each configuration, which is a value of its own after every change. */
const matchers = new WeakMap<EventBridgeTriggerConfig, Matcher>();

export function matchesEvent(config: EventBridgeTriggerConfig, event: unknown): boolean {
  let matcher = matchers.get(config);
  if (matcher === undefined) {
    matcher = compileConfig(config);
    matchers.set(config, matcher);
  }
  return matcher(event);
}

/** An event must fit all of what the configuration says. Throws an Error that names what is wrong with it. */
export function compileConfig(config: EventBridgeTriggerConfig): Matcher {
  const { pattern, eventRuleFilterPattern, filters } = config;
  const parts = [compilePattern(pattern), compileFilters(filters)];
  if (eventRuleFilterPattern !== '') {
    parts.push(compilePattern(parsed(eventRuleFilterPattern), 'eventRuleFilterPattern'));
  }
  return (event) => parts.every((matches) => matches(event));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error('eventRuleFilterPattern must be the text of a JSON object', { cause });
  }
}
