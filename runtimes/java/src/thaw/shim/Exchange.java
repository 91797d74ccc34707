package thaw.shim;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * One stream of the link as the shim sees it: an invocation or a hook. The link's reader calls {@code arrived},
 * {@code granted} and {@code cancel}; whoever runs the handler calls the rest. No wait in here can be interrupted: an
 * interrupt is the user's code talking to itself.
 */
class Exchange {
    /** Consumed bytes are granted in portions of this size, or earlier when the reader is about to wait. */
    private static final int GRANT_BYTES = Frame.WINDOW_BYTES / 4;
    private static final byte[] NOTHING = {};

    final int stream;
    final String requestId;
    /** Lines under way, one for each source; {@link Logs} guards them. */
    final LineBuffer[] lines = new LineBuffer[2];
    protected final Link link;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private final ArrayDeque<ByteBuffer> pieces = new ArrayDeque<>();
    private boolean isRequestEnded;
    private boolean isCancelled;
    private volatile boolean isClosed;
    private boolean hasResponded;
    private int inWindow = Frame.WINDOW_BYTES;
    private int outWindow = Frame.WINDOW_BYTES;
    private int owed;

    Exchange(Link link, int stream, String requestId) {
        this.link = link;
        this.stream = stream;
        this.requestId = requestId;
    }

    /** Thrown to a handler that writes what nobody wants any more. */
    static final class CallerGone extends IOException {
        private static final long serialVersionUID = 1L;

        CallerGone() {
            super("nobody waits for the answer any more");
        }
    }

    // What the reader of the link tells.

    /** A piece of the request's body; it is copied. */
    final void arrived(ByteBuffer body, boolean isEnd) {
        byte[] copy = new byte[body.remaining()];
        body.get(copy);
        lock.lock();
        try {
            if (isRequestEnded) throw new ProtocolError("stream " + stream + " goes on after its end");
            inWindow -= copy.length;
            if (inWindow < 0) throw new ProtocolError("stream " + stream + " sends more than its window");
            if (copy.length > 0) pieces.add(ByteBuffer.wrap(copy));
            isRequestEnded = isEnd;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** The daemon has consumed so many bytes of the answer. */
    final void granted(int bytes) {
        lock.lock();
        try {
            outWindow += bytes;
            if (outWindow > Frame.WINDOW_BYTES) throw new ProtocolError("stream " + stream + " was granted too much");
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** Nobody waits for the answer any more. */
    final void cancel() {
        lock.lock();
        try {
            isCancelled = true;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    // What the handler's side does.

    final boolean isCancelled() {
        lock.lock();
        try {
            return isCancelled;
        } finally {
            lock.unlock();
        }
    }

    /** The frame that ends the stream is on its way. */
    final boolean isClosed() {
        return isClosed;
    }

    /** As InputStream: waits for at least one byte, and gives -1 at the end. */
    final int read(byte[] into, int offset, int length) throws IOException {
        if (length == 0) return 0;
        int grant = 0;
        int count;
        lock.lock();
        try {
            while (pieces.isEmpty()) {
                if (isRequestEnded) return -1;
                if (isCancelled || isClosed) throw new CallerGone();
                if (owed > 0) grantNow(takeOwed());
                else changed.awaitUninterruptibly();
            }
            ByteBuffer piece = pieces.peek();
            count = Math.min(length, piece.remaining());
            piece.get(into, offset, count);
            if (!piece.hasRemaining()) pieces.remove();
            owed += count;
            if (owed >= GRANT_BYTES && !isRequestEnded) grant = takeOwed();
        } finally {
            lock.unlock();
        }
        if (grant > 0) link.send(Frame.credit(stream, grant));
        return count;
    }

    /** Bytes that a read would give without waiting. */
    final int available() {
        lock.lock();
        try {
            int bytes = 0;
            for (ByteBuffer piece : pieces) bytes += piece.remaining();
            return bytes;
        } finally {
            lock.unlock();
        }
    }

    /** Whether nothing of the request is left, and nothing will come. */
    final boolean isFullyRead() {
        lock.lock();
        try {
            return isRequestEnded && pieces.isEmpty();
        } finally {
            lock.unlock();
        }
    }

    /** The head of the answer with the first of its body; {@code isEnd} ends the stream. */
    final void respond(byte[] head, byte[] body, int offset, int length, boolean isEnd) throws IOException {
        if (head.length > Frame.HEAD_BYTES_MAX) {
            throw new IllegalArgumentException("the head of the response has " + head.length + " bytes");
        }
        int first = Math.min(length, Frame.DATA_BYTES_MAX);
        boolean isLast = isEnd && first == length;
        lock.lock();
        try {
            hasResponded = true;
            outWindow -= first;
        } finally {
            lock.unlock();
        }
        sendFrame(Frame.message(Frame.RESPONSE, stream, head, body, offset, first, isLast), isLast);
        if (!isLast && first < length) write(body, offset + first, length - first, isEnd);
    }

    /** More of the answer, as the window allows; with {@code isEnd} the last of it. */
    final void write(byte[] body, int offset, int length, boolean isEnd) throws IOException {
        if (length == 0 && isEnd) {
            finish(NOTHING);
            return;
        }
        while (length > 0) {
            int count = Math.min(reserve(length), Frame.DATA_BYTES_MAX);
            boolean isLast = isEnd && count == length;
            sendFrame(Frame.data(stream, body, offset, count, isLast), isLast);
            offset += count;
            length -= count;
        }
    }

    /** Ends the answer where it is; {@code head} goes along where none has gone yet. */
    void finish(byte[] head) {
        if (isClosed) return;
        byte[] end =
            hasResponded ? Frame.end(stream) : Frame.message(Frame.RESPONSE, stream, head, NOTHING, 0, 0, true);
        hasResponded = true;
        endWith(end);
    }

    /** Ends the stream with the error (as JSON) that the function made. */
    void fail(byte[] error) {
        endWith(Frame.bytes(Frame.ERROR, stream, error));
    }

    /** The last frame of the stream takes along the log lines that are not complete; nothing follows it. */
    protected final synchronized void endWith(byte[] frame) {
        link.close(this, frame);
    }

    private synchronized void sendFrame(byte[] frame, boolean isEnd) throws IOException {
        if (isClosed) throw new CallerGone();
        if (isEnd) link.close(this, frame);
        else link.send(frame);
    }

    /** For {@link Link#close}: true for the first caller. */
    final boolean markClosed() {
        lock.lock();
        try {
            if (isClosed) return false;
            isClosed = true;
            pieces.clear();
            changed.signalAll();
            return true;
        } finally {
            lock.unlock();
        }
    }

    private int reserve(int wanted) throws IOException {
        lock.lock();
        try {
            while (outWindow <= 0 && !isCancelled && !isClosed) changed.awaitUninterruptibly();
            if (isCancelled || isClosed) throw new CallerGone();
            int count = Math.min(Math.min(wanted, outWindow), Frame.DATA_BYTES_MAX);
            outWindow -= count;
            return count;
        } finally {
            lock.unlock();
        }
    }

    private int takeOwed() {
        int bytes = owed;
        owed = 0;
        inWindow += bytes;
        return bytes;
    }

    /** Sends without holding the lock, which the link's reader may need. */
    private void grantNow(int bytes) {
        lock.unlock();
        try {
            link.send(Frame.credit(stream, bytes));
        } finally {
            lock.lock();
        }
    }
}
