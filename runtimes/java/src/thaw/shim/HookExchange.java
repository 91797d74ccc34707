package thaw.shim;

import java.nio.charset.StandardCharsets;

/** A run of a hook: it has no bodies and an end of its own. */
final class HookExchange extends Exchange {
    HookExchange(Link link, int stream) {
        super(link, stream, "");
    }

    /** The hook has run. */
    @Override
    void finish(byte[] head) {
        endWith(Frame.bytes(Frame.HOOK_END, stream, "{}".getBytes(StandardCharsets.US_ASCII)));
    }

    /** The hook threw. */
    @Override
    void fail(byte[] error) {
        String text = "{\"error\":" + new String(error, StandardCharsets.UTF_8) + "}";
        endWith(Frame.bytes(Frame.HOOK_END, stream, text.getBytes(StandardCharsets.UTF_8)));
    }
}
