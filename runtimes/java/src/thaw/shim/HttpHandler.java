package thaw.shim;

import java.util.Map;

/** {@code handleRequest(HttpServletRequest, HttpServletResponse, Context)} of the published HttpRequestHandler. */
final class HttpHandler implements Handler {
    private final Entry entry;
    private final Contexts contexts;
    private final boolean isPublished;

    HttpHandler(Entry entry, Contexts contexts) {
        this.entry = entry;
        this.contexts = contexts;
        this.isPublished = Published.isHttp(entry);
    }

    @Override
    public String kind() {
        return "http";
    }

    @Override
    public void run(Exchange exchange, Map<String, Object> head) throws Throwable {
        HttpRequest request = new HttpRequest(exchange, head);
        HttpResponse response = new HttpResponse(exchange, request.getMethod());
        if (isPublished) Published.http(entry, request, response, contexts.ofRequest(head));
        else if (entry.method.getParameterCount() == 2) entry.call(request, response);
        else entry.call(request, response, contexts.ofRequest(head));
        response.finish();
    }
}
