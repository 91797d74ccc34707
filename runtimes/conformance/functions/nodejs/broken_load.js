'use strict';

console.log('loading');
throw new TypeError('the module failed');
