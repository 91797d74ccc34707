import { pageQuery } from '@thaw/protocol/fc/list-query.ts';
import { parseFc } from '@thaw/protocol/fc/parse.ts';
import { createTriggerInput, updateTriggerInput } from '@thaw/protocol/fc/trigger.ts';
import type { Trigger } from '../../model/trigger.ts';
import type { ControlRequest } from './control-request.ts';
import { publicUrlOf, type FcDeps } from './fc-deps.ts';
import type { FcRoute } from './fc-route.ts';
import { queryFields } from './query.ts';
import { pageBody, triggerBody } from './wire.ts';

const BASE = '/functions/{functionName}/triggers';

export function triggerRoutes(deps: FcDeps): readonly FcRoute[] {
  const { catalog } = deps;
  const { triggers } = catalog;
  const bodyOf = (trigger: Trigger, request: ControlRequest): object =>
    triggerBody(trigger, catalog.place, publicUrlOf(deps, request));
  return [
    {
      method: 'POST',
      path: BASE,
      handle: ({ params, json, request }) =>
        bodyOf(triggers.create(params['functionName'] ?? '', parseFc(createTriggerInput, json)), request),
    },
    {
      method: 'GET',
      path: BASE,
      handle: ({ params, query, request }) => {
        const wanted = parseFc(pageQuery, queryFields(query));
        const page = triggers.list(params['functionName'] ?? '', wanted.prefix, wanted);
        return pageBody(
          'triggers',
          page.items.map((trigger) => bodyOf(trigger, request)),
          page.nextToken,
        );
      },
    },
    {
      method: 'GET',
      path: `${BASE}/{triggerName}`,
      handle: ({ params, request }) =>
        bodyOf(triggers.require(params['functionName'] ?? '', params['triggerName'] ?? ''), request),
    },
    {
      method: 'PUT',
      path: `${BASE}/{triggerName}`,
      handle: ({ params, json, request }) =>
        bodyOf(
          triggers.update(
            params['functionName'] ?? '',
            params['triggerName'] ?? '',
            parseFc(updateTriggerInput, json),
          ),
          request,
        ),
    },
    {
      method: 'DELETE',
      path: `${BASE}/{triggerName}`,
      handle: ({ params }) => triggers.delete(params['functionName'] ?? '', params['triggerName'] ?? ''),
    },
  ];
}
