'use strict';

exports.handler = async () => 'inner';
