package thaw.shim;

import java.io.IOException;
import java.io.OutputStream;
import java.util.Arrays;

/** Gathers the body of an answer; its head goes out with the first bytes that do. */
abstract class AnswerOutput extends OutputStream {
    private static final int FIRST_BYTES = 1024;

    private final Exchange exchange;
    private int bytesMax;
    private byte[] held = new byte[FIRST_BYTES];
    private int size;
    private boolean isCommitted;
    private boolean isFinished;

    AnswerOutput(Exchange exchange, int bytesMax) {
        this.exchange = exchange;
        this.bytesMax = bytesMax;
    }

    /** The head, asked for once; {@link #size} is then the length of the body so far. */
    abstract byte[] head();

    /** Whether the answer has a body at all; what is written to one that has none is dropped. */
    boolean hasBody() {
        return true;
    }

    final synchronized boolean isCommitted() {
        return isCommitted;
    }

    /** Bytes that are held back. */
    final synchronized int size() {
        return size;
    }

    /** Forgets what is held back. */
    final synchronized void reset() {
        size = 0;
    }

    final synchronized void setBytesMax(int bytes) {
        bytesMax = bytes;
    }

    final synchronized int bytesMax() {
        return bytesMax;
    }

    @Override
    public final void write(int value) throws IOException {
        write(new byte[] {(byte) value}, 0, 1);
    }

    @Override
    public final synchronized void write(byte[] data, int offset, int length) throws IOException {
        java.util.Objects.checkFromIndexSize(offset, length, data.length);
        if (isFinished) throw new IOException("the answer has ended");
        if (size + length > bytesMax) {
            send(false);
            if (length >= bytesMax) {
                if (hasBody()) exchange.write(data, offset, length, false);
                return;
            }
        }
        if (size + length > held.length) held = Arrays.copyOf(held, Math.max(size + length, 2 * held.length));
        System.arraycopy(data, offset, held, size, length);
        size += length;
    }

    /** Sends the head, if it has not gone yet, and what is held back. */
    final synchronized void send(boolean isEnd) throws IOException {
        if (isFinished) return;
        isFinished = isEnd;
        byte[] head = isCommitted ? null : head();
        int length = hasBody() ? size : 0;
        size = 0;
        if (isCommitted) {
            if (length > 0 || isEnd) exchange.write(held, 0, length, isEnd);
            return;
        }
        isCommitted = true;
        exchange.respond(head, held, 0, length, isEnd);
    }

    final void finish() throws IOException {
        send(true);
    }
}
