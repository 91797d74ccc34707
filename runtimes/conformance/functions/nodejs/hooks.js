'use strict';

const called = [];

const hook = (name) => (context, callback) => {
  called.push(name);
  console.log(name);
  callback();
};

exports.initializer = async () => {
  called.push('initializer');
};

exports.pre_freeze = hook('preFreeze');
exports.pre_stop = hook('preStop');
exports.post_thaw = async () => {
  called.push('postThaw');
  console.log('postThaw');
};

exports.failing = () => {
  throw new Error('cannot freeze');
};

exports.handler = async () => called;
