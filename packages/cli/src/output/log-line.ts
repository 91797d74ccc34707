import type { LogLine } from '../api/wire.ts';
import type { Output } from './output.ts';

/** `12:00:01.250 hello 1-65a1… text`; the name only where several functions print. */
export function formatLogLine(output: Output, line: LogLine, withName: boolean): string {
  const time = output.style('dim', clockTime(line.time));
  const name = withName ? ` ${output.style('cyan', line.functionName)}` : '';
  const request = line.requestId === undefined ? '' : ` ${output.style('dim', line.requestId)}`;
  const text = line.source === 'stderr' ? output.style('red', line.text) : line.text;
  return `${time}${name}${request} ${text}`;
}

function clockTime(time: string | number): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return String(time);
  const [h, m, s] = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) =>
    String(part).padStart(2, '0'),
  );
  return `${h}:${m}:${s}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}
