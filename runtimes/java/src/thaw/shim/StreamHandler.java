package thaw.shim;

import java.nio.charset.StandardCharsets;
import java.util.Map;

/** {@code handleRequest(InputStream, OutputStream, Context)}: the event is read and the answer written as bytes. */
final class StreamHandler implements Handler {
    private static final byte[] HEAD = "{}".getBytes(StandardCharsets.US_ASCII);

    private final Entry entry;
    private final Contexts contexts;
    private final boolean isPublished;

    StreamHandler(Entry entry, Contexts contexts) {
        this.entry = entry;
        this.contexts = contexts;
        this.isPublished = Published.isStream(entry);
    }

    @Override
    public String kind() {
        return "event";
    }

    @Override
    public void run(Exchange exchange, Map<String, Object> head) throws Throwable {
        EventOutput output = new EventOutput(exchange);
        EventInput input = new EventInput(exchange);
        if (isPublished) Published.stream(entry, input, output, contexts.ofRequest(head));
        else if (entry.method.getParameterCount() == 2) entry.call(input, output);
        else entry.call(input, output, contexts.ofRequest(head));
        output.finish();
    }

    /**
     * The answer of an event. What fits one frame is held until the handler has returned, so that one that fails after a
     * few words gives its error and nothing else; a longer answer goes out as it is made.
     */
    private static final class EventOutput extends AnswerOutput {
        EventOutput(Exchange exchange) {
            super(exchange, Frame.DATA_BYTES_MAX);
        }

        @Override
        byte[] head() {
            return HEAD;
        }

        @Override
        public void flush() {
            // Nobody reads half an answer of an event.
        }
    }
}
