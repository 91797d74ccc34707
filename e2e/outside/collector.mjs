/**
 * An OpenTelemetry collector that only counts: POST /v1/traces takes spans as OTLP in JSON, GET /spans gives the ids of
 * those that have come, each as often as it came.
 */
import { createServer } from 'node:http';

const spans = [];

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  response.setHeader('content-type', 'application/json');
  if (request.url === '/spans') {
    response.end(JSON.stringify(spans));
    return;
  }
  const { resourceSpans } = JSON.parse(Buffer.concat(chunks).toString());
  for (const { scopeSpans } of resourceSpans)
    for (const scope of scopeSpans) spans.push(...scope.spans.map(({ spanId }) => spanId));
  response.end('{}');
});
server.keepAliveTimeout = 60_000;
server.listen(0, '0.0.0.0', () => console.log(`port ${server.address().port}`));
