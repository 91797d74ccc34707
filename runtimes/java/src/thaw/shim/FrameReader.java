package thaw.shim;

import java.nio.ByteBuffer;

/** Cuts the bytes of the link into frames. A frame that it returned is valid until more bytes are put in. */
final class FrameReader {
    private static final int ROOM_BYTES = 65_536;

    /** Between position and limit stands what was received and not yet read. */
    private ByteBuffer received = ByteBuffer.allocate(2 * ROOM_BYTES).flip();

    /** A buffer to receive into; {@link #received} must follow. */
    ByteBuffer room() {
        int held = received.remaining();
        if (received.capacity() - received.limit() < ROOM_BYTES) {
            ByteBuffer next = held + ROOM_BYTES > received.capacity() ? ByteBuffer.allocate(2 * received.capacity()) : received;
            received = next == received ? received.compact().flip() : next.put(received).flip();
        }
        return received.duplicate().position(received.limit()).limit(received.capacity());
    }

    /** So many bytes have been put into the room. */
    void received(int count) {
        received.limit(received.limit() + count);
    }

    void put(byte[] bytes) {
        for (int offset = 0; offset < bytes.length; ) {
            ByteBuffer room = room();
            int count = Math.min(room.remaining(), bytes.length - offset);
            room.put(bytes, offset, count);
            received(count);
            offset += count;
        }
    }

    /** The next whole frame, or null; a wrong length or type is refused as soon as it can be seen. */
    Frame next() {
        int at = received.position();
        int held = received.remaining();
        if (held < 4) return null;
        int length = received.getInt(at);
        if (length < 5 || length > Frame.PAYLOAD_BYTES_MAX + 5) throw new ProtocolError("a frame of length " + length);
        if (held < 5) return null;
        int type = received.get(at + 4) & 0xff;
        if (!Frame.isType(type)) throw new ProtocolError("a frame of unknown type " + type);
        if (held < 4 + length) return null;
        Frame frame = new Frame(type, received.getInt(at + 5), received.slice(at + Frame.HEADER_BYTES, length - 5));
        received.position(at + 4 + length);
        return frame;
    }
}
