'use strict';

let state = 'fresh';

exports.initialize = (context, callback) => {
  console.log('initializing');
  state = 'initialized';
  callback(null, '');
};

exports.initialize_async = async () => {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  state = 'initialized later';
};

exports.initialize_fails = async () => {
  throw new Error('no database');
};

exports.initialize_refuses = (context, callback) => callback(new Error('not today'));

exports.initialize_throws_later = () => {
  setImmediate(() => {
    throw new RangeError('too late');
  });
  return new Promise(() => {});
};

exports.state = async () => state;
