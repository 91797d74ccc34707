package thaw.shim;

import java.util.Map;

/** What all contexts of one instance have in common. Loads the published interfaces only when a handler asks for one. */
final class Contexts {
    private final Logs logs;
    private final Map<String, Object> specialize;
    private final Map<String, Object> function;

    @SuppressWarnings("unchecked")
    Contexts(Logs logs, Map<String, Object> specialize) {
        this.logs = logs;
        this.specialize = specialize;
        this.function = (Map<String, Object>) specialize.get("function");
    }

    /** The context of one request. */
    Object ofRequest(Map<String, Object> head) {
        return new FcContext(this, head);
    }

    /** For code that serves nobody's request: the instance stands for it. */
    Object ofInstance() {
        return new FcContext(this, Map.of("id", specialize.get("instanceId")));
    }

    /** A value of SPECIALIZE as text. */
    String text(String key) {
        return asText(specialize.get(key));
    }

    /** A value of SPECIALIZE's function as text. */
    String functionText(String key) {
        return asText(function.get(key));
    }

    /** A value of SPECIALIZE's function as a number. */
    double functionNumber(String key) {
        Object value = function.get(key);
        return value instanceof Number ? ((Number) value).doubleValue() : 0;
    }

    static String asText(Object value) {
        return value instanceof String ? (String) value : "";
    }
}
