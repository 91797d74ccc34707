'use strict';

require('thaw_no_such_package');

exports.handler = async () => 'never';
