'use strict';
/** The handler behind @google-cloud/functions-framework. */
const { handler } = require('./handler.js');

exports.hello = (request, response) => {
  handler(request.rawBody, {}).then(
    (result) => response.send(result),
    (error) => response.status(500).send(String(error)),
  );
};
