'use strict';
/** The handler that everything is measured with: an event in, a greeting out. Deployed to Thaw as it stands. */
exports.handler = async () => 'hello';
