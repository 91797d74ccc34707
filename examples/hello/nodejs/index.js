// The event is a Buffer with exactly the bytes that the caller sent.
exports.handler = async (event, context) => {
  const { name = 'world' } = JSON.parse(event.toString());
  return `hello ${name}`;
};
