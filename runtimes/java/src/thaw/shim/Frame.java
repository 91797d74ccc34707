package thaw.shim;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * One frame of the link, and how frames are written: docs/RUNTIMES.md section 2. Frames that are read share the reader's
 * buffer, so whoever keeps a payload copies it.
 */
record Frame(int type, int stream, ByteBuffer payload) {
    static final int HELLO = 0x01;
    static final int SPECIALIZE = 0x02;
    static final int INITIALIZING = 0x03;
    static final int READY = 0x04;
    static final int START_FAILED = 0x05;
    static final int HOOK = 0x06;
    static final int HOOK_END = 0x07;
    static final int LOADED = 0x09;
    static final int PROCEED = 0x0a;
    static final int REQUEST = 0x10;
    static final int DATA = 0x11;
    static final int CREDIT = 0x12;
    static final int CANCEL = 0x13;
    static final int RESPONSE = 0x14;
    static final int ERROR = 0x15;
    static final int LOG = 0x16;

    static final int END = 1;
    /** Length field, type and stream. */
    static final int HEADER_BYTES = 9;
    static final int PAYLOAD_BYTES_MAX = 1_048_576;
    static final int DATA_BYTES_MAX = 65_536;
    static final int LOG_BYTES_MAX = 32_768 - 1;
    static final int WINDOW_BYTES = 262_144;
    /** What a head may have so that a first piece of body still fits beside it. */
    static final int HEAD_BYTES_MAX = PAYLOAD_BYTES_MAX - DATA_BYTES_MAX - 5;

    private static final byte[] NOTHING = {};

    /** A head with the body that came along. */
    record Message(boolean isEnd, Map<String, Object> head, ByteBuffer body) {}

    static boolean isType(int type) {
        return (type >= HELLO && type <= HOOK_END) || type == LOADED || type == PROCEED || (type >= REQUEST && type <= LOG);
    }

    // Writing.

    static byte[] empty(int type, int stream) {
        return begin(type, stream, 0).array();
    }

    static byte[] json(int type, int stream, Object value) {
        return bytes(type, stream, Json.write(value).getBytes(StandardCharsets.UTF_8));
    }

    static byte[] bytes(int type, int stream, byte[] payload) {
        return begin(type, stream, payload.length).put(payload).array();
    }

    static byte[] message(int type, int stream, byte[] head, byte[] body, int offset, int length, boolean isEnd) {
        ByteBuffer frame = begin(type, stream, 5 + head.length + length);
        return frame.put((byte) (isEnd ? END : 0)).putInt(head.length).put(head).put(body, offset, length).array();
    }

    static byte[] data(int stream, byte[] body, int offset, int length, boolean isEnd) {
        return begin(DATA, stream, 1 + length).put((byte) (isEnd ? END : 0)).put(body, offset, length).array();
    }

    static byte[] end(int stream) {
        return data(stream, NOTHING, 0, 0, true);
    }

    static byte[] credit(int stream, int bytes) {
        return begin(CREDIT, stream, 4).putInt(bytes).array();
    }

    static byte[] log(int stream, int source, byte[] text, int offset, int length) {
        return begin(LOG, stream, 1 + length).put((byte) source).put(text, offset, length).array();
    }

    private static ByteBuffer begin(int type, int stream, int payloadBytes) {
        if (payloadBytes > PAYLOAD_BYTES_MAX) throw new IllegalArgumentException("a payload of " + payloadBytes + " bytes");
        return ByteBuffer.allocate(HEADER_BYTES + payloadBytes).putInt(5 + payloadBytes).put((byte) type).putInt(stream);
    }

    // Reading.

    Message asMessage() {
        ByteBuffer rest = payload.duplicate();
        if (rest.remaining() < 5) throw new ProtocolError("a message without room for its head");
        boolean isEnd = isEnd(rest.get());
        int headBytes = rest.getInt();
        if (headBytes < 0 || headBytes > rest.remaining()) throw new ProtocolError("a head beyond its frame");
        ByteBuffer head = rest.slice(rest.position(), headBytes);
        return new Message(isEnd, decode(head), rest.position(rest.position() + headBytes).slice());
    }

    Map<String, Object> asJson() {
        return decode(payload.duplicate());
    }

    /** Whether DATA is the last; the body is what follows the first byte. */
    boolean isLastData() {
        if (!payload.hasRemaining()) throw new ProtocolError("data without flags");
        return isEnd(payload.get(payload.position()));
    }

    ByteBuffer dataBody() {
        return payload.slice(payload.position() + 1, payload.remaining() - 1);
    }

    int asCredit() {
        if (payload.remaining() != 4) throw new ProtocolError("a credit of " + payload.remaining() + " bytes");
        int bytes = payload.getInt(payload.position());
        if (bytes < 0) throw new ProtocolError("a credit beyond any window");
        return bytes;
    }

    private static boolean isEnd(int flags) {
        if ((flags & ~END) != 0) throw new ProtocolError("unknown flags " + flags);
        return flags == END;
    }

    private static Map<String, Object> decode(ByteBuffer text) {
        try {
            return Json.parseObject(StandardCharsets.UTF_8.decode(text).toString());
        } catch (JsonException error) {
            throw new ProtocolError("a head that is not a JSON object: " + error.getMessage());
        }
    }
}
