package thaw.shim;

import java.io.InputStream;
import java.lang.reflect.Type;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * {@code O handleRequest(I, Context)}: the event is JSON and becomes an I, the O becomes JSON. Text and bytes are handed
 * over as they are, in both directions; an empty event is null.
 */
final class PojoHandler implements Handler {
    private static final byte[] HEAD = "{}".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] NOTHING = {};

    private final Entry entry;
    private final Contexts contexts;
    private final boolean isPublished;
    private final Type inputType;

    PojoHandler(Entry entry, Contexts contexts) {
        this.entry = entry;
        this.contexts = contexts;
        this.isPublished = Published.isPojo(entry);
        this.inputType = JsonTypes.resolve(entry.method.getGenericParameterTypes()[0], entry.type);
    }

    @Override
    public String kind() {
        return "event";
    }

    @Override
    public void run(Exchange exchange, Map<String, Object> head) throws Throwable {
        Object output = call(input(exchange), head);
        byte[] body = entry.method.getReturnType() == void.class ? NOTHING : output(output);
        exchange.respond(HEAD, body, 0, body.length, true);
    }

    private Object call(Object input, Map<String, Object> head) throws Throwable {
        if (isPublished) return Published.pojo(entry, input, contexts.ofRequest(head));
        return entry.method.getParameterCount() == 1 ? entry.call(input) : entry.call(input, contexts.ofRequest(head));
    }

    private Object input(Exchange exchange) throws java.io.IOException {
        InputStream body = new EventInput(exchange);
        if (inputType == InputStream.class) return body;
        byte[] bytes = body.readAllBytes();
        if (inputType == byte[].class) return bytes;
        String text = new String(bytes, StandardCharsets.UTF_8);
        if (inputType == String.class || inputType == CharSequence.class) return text;
        return text.isBlank() ? null : JsonReader.read(Json.parse(text), inputType);
    }

    private static byte[] output(Object value) {
        if (value instanceof byte[]) return (byte[]) value;
        String text = value instanceof CharSequence ? value.toString() : Json.write(value);
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
