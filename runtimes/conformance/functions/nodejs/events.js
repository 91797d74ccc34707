'use strict';

class OrderError extends Error {}

let calls = 0;

exports.echo = (event, context, callback) => callback(null, event);

exports.json_value = async () => ({ text: 'grüße', number: 1.5, list: [true, null], nested: { a: [] } });

exports.text = async () => 'grüße, 世界';

exports.nothing = async () => {};

exports.throws = async () => {
  throw new Error('the handler failed');
};

exports.throws_own_type = () => {
  throw new OrderError('no such order');
};

exports.not_json = async () => {
  const value = {};
  value.itself = value;
  return value;
};

exports.not_callable = 42;

exports.environment = async (event) => {
  const names = JSON.parse(event.toString());
  return Object.fromEntries(names.map((name) => [name, process.env[name] ?? null]));
};

exports.context = async (event, context) => ({
  requestId: context.requestId,
  functionName: context.function.name,
  functionHandler: context.function.handler,
  memory: context.function.memory,
  timeout: context.function.timeout,
  region: context.region,
  accountId: context.accountId,
  logProject: context.service.logProject,
  logStore: context.service.logStore,
  qualifier: context.service.qualifier,
  versionId: context.service.versionId,
});

exports.count = async () => {
  calls += 1;
  return String(calls);
};

exports.slow = (event, context, callback) => {
  setTimeout(() => callback(null, 'late'), 100);
};
