import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AccessKeys } from '../../gateway/signature/access-keys.ts';
import { basicAccessKey } from '../../gateway/signature/basic-authorization.ts';
import type { Arrival, Door } from '../../gateway/door.ts';
import { answerPlainly } from '../../gateway/listener.ts';
import type { Metrics } from '../../telemetry/metrics.ts';

/** `/metrics` for Prometheus, which signs nothing: it shows the access key by HTTP Basic authentication (RFC 7617). */
export class MetricsDoor implements Door {
  readonly #metrics: Metrics;
  readonly #keys: AccessKeys;

  constructor(metrics: Metrics, keys: AccessKeys) {
    this.#metrics = metrics;
    this.#keys = keys;
  }

  owns(_method: string, path: string): boolean {
    return path === '/metrics';
  }

  handle(request: IncomingMessage, response: ServerResponse, arrival: Arrival): void {
    request.resume();
    if (basicAccessKey(this.#keys, request.headers.authorization) === undefined) {
      response.setHeader('WWW-Authenticate', 'Basic realm="thaw"');
      answerPlainly(
        response,
        401,
        arrival.requestId,
        'AccessDenied',
        'metrics need the access key as user and password',
      );
      return;
    }
    this.#metrics.expose().then(
      (text) => {
        response.writeHead(200, ['Content-Type', this.#metrics.contentType]);
        response.end(text);
      },
      () => answerPlainly(response, 500, arrival.requestId, 'InternalError', 'the metrics could not be read'),
    );
  }
}
