package thaw.shim;

import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * What user code prints: it travels in LOG frames on the stream of the invocation that printed it. Lines are not held
 * back for the answer: those that come before a crash are the ones that matter most.
 */
final class Logs {
    static final int STDOUT = 1;
    static final int STDERR = 2;

    private final Link link;
    private final LineBuffer[] outside = new LineBuffer[2];
    /** With several slots: what each thread works for; threads that user code starts work for the same. */
    private final InheritableThreadLocal<Exchange> ofThread = new InheritableThreadLocal<>();
    /** With one slot every thread works for what runs. */
    private volatile Exchange running;
    private volatile boolean hasSlots;

    Logs(Link link) {
        this.link = link;
    }

    /** Puts ours in the place of System.out and System.err. */
    void replaceStreams() {
        System.setOut(new PrintStream(new Source(STDOUT), false, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(new Source(STDERR), false, StandardCharsets.UTF_8));
    }

    /** From now on invocations run side by side, each in threads of its own. */
    void attributeByThread() {
        hasSlots = true;
    }

    /** The calling thread works for this exchange, or with null for none. */
    void enter(Exchange exchange) {
        if (!hasSlots) running = exchange;
        else if (exchange != null) ofThread.set(exchange);
        else ofThread.remove();
    }

    /** The exchange that the calling thread works for, or null. */
    Exchange current() {
        Exchange exchange = hasSlots ? ofThread.get() : running;
        return exchange == null || exchange.isClosed() ? null : exchange;
    }

    void write(int source, byte[] data, int offset, int length) {
        synchronized (this) {
            Exchange exchange = current();
            LineBuffer[] lines = exchange == null ? outside : exchange.lines;
            LineBuffer line = lines[source - 1];
            if (line == null) line = lines[source - 1] = new LineBuffer();
            // In portions, so that no text is held three times over.
            for (int end = offset + length; offset < end; ) {
                int count = Math.min(end - offset, Frame.LOG_BYTES_MAX);
                link.send(line.add(exchange == null ? 0 : exchange.stream, source, data, offset, count));
                offset += count;
            }
        }
    }

    /** Sends the unfinished lines that belong to no invocation. */
    synchronized void endOutside() {
        link.send(ends(0, outside));
    }

    /**
     * Ends a stream: its unfinished lines, then the frame that ends it. Under the lock, so that a thread that prints at
     * this moment is either before the end or outside of the invocation.
     */
    synchronized boolean end(Exchange exchange, byte[] lastFrame) {
        if (!exchange.markClosed()) return false;
        List<byte[]> frames = ends(exchange.stream, exchange.lines);
        frames.add(lastFrame);
        link.send(frames);
        return true;
    }

    private static List<byte[]> ends(int stream, LineBuffer[] lines) {
        List<byte[]> frames = new ArrayList<>(3);
        for (int source = STDOUT; source <= STDERR; source++) {
            byte[] frame = lines[source - 1] == null ? null : lines[source - 1].end(stream, source);
            if (frame != null) frames.add(frame);
        }
        return frames;
    }

    /** The bytes behind System.out or System.err. */
    private final class Source extends OutputStream {
        private final int source;

        Source(int source) {
            this.source = source;
        }

        @Override
        public void write(int value) {
            Logs.this.write(source, new byte[] {(byte) value}, 0, 1);
        }

        @Override
        public void write(byte[] data, int offset, int length) {
            Logs.this.write(source, data, offset, length);
        }
    }
}
