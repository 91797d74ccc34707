/** The handler as a module of workerd. */
export default {
  async fetch(request) {
    await request.arrayBuffer();
    return new Response('hello');
  },
};
