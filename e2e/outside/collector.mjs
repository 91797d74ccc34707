/**
 * An OpenTelemetry collector that only counts: POST /v1/traces takes spans as OTLP in JSON, GET /spans gives the ids of
 * those that have come, each as often as it came.
 */
import { createServer } from 'node:http';

const spans = [];

const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    response.setHeader('content-type', 'application/json');
    response.end(request.url === '/spans' ? JSON.stringify(spans) : take(Buffer.concat(chunks)));
  });
});

function take(body) {
  const { resourceSpans } = JSON.parse(body.toString());
  for (const { scopeSpans } of resourceSpans)
    for (const scope of scopeSpans) spans.push(...scope.spans.map(({ spanId }) => spanId));
  return '{}';
}
server.keepAliveTimeout = 60_000;
server.listen(0, '0.0.0.0', () => console.log(`port ${server.address().port}`));
