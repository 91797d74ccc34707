package thaw.shim;

import java.util.Map;

/** The function's entry point, in the shape that the link needs it. */
interface Handler {
    /** {@code event} or {@code http}. */
    String kind();

    /** Runs one invocation to the end of its answer; what it throws has made no answer, or only a part. */
    void run(Exchange exchange, Map<String, Object> head) throws Throwable;
}
