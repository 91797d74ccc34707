package thaw.shim;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The connection to the daemon. One thread reads it and one writes it. No other thread touches the channel: an interrupt
 * of a thread that is inside a channel closes it, and user code interrupts its threads as it likes.
 */
final class Link {
    /** Streams open at once; the daemon opens no more than there are slots, which are far fewer. */
    private static final int EXCHANGES_MAX = 1024;
    /** Bytes that wait to be written before whoever sends more has to wait too. */
    private static final int UNSENT_BYTES_MAX = 1_048_576;
    private static final int WRITE_BYTES = 131_072;
    private static final long FLUSH_MS_MAX = 5_000;

    private static final long READER_END_MS_MAX = 1_000;

    /** What the reader hands over to be run. */
    interface Work {
        void run(Exchange exchange, Map<String, Object> head);
    }

    final Logs logs = new Logs(this);
    private final SocketChannel channel;
    private final FrameReader reader = new FrameReader();
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private final ArrayDeque<byte[]> unsent = new ArrayDeque<>();
    private int unsentBytes;
    private boolean isWriting;
    private final Map<Integer, Exchange> exchanges = new HashMap<>();
    private long lastStream;
    /** LOADED has been sent, and nothing happens before PROCEED. */
    private boolean isHeld;
    private volatile Thread readerThread;
    private volatile boolean isExiting;

    Link(String path) throws IOException {
        channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        channel.connect(UnixDomainSocketAddress.of(path));
        start(new Thread("thaw-writer") {
            @Override
            public void run() {
                writeForEver();
            }
        });
    }

    /** For a rehearsal: what is sent is forgotten with the object. */
    Link() {
        channel = null;
    }

    private static void start(Thread thread) {
        thread.setDaemon(true);
        thread.start();
    }

    // Sending.

    void send(byte[] frame) {
        lock.lock();
        try {
            waitForRoom();
            add(frame);
        } finally {
            lock.unlock();
        }
    }

    /** Sends frames with nothing between them. */
    void send(List<byte[]> frames) {
        if (frames.isEmpty()) return;
        lock.lock();
        try {
            waitForRoom();
            for (byte[] frame : frames) add(frame);
        } finally {
            lock.unlock();
        }
    }

    /** Sends the frame that ends a stream, once. */
    void close(Exchange exchange, byte[] lastFrame) {
        synchronized (exchanges) {
            exchanges.remove(exchange.stream);
        }
        logs.end(exchange, lastFrame);
    }

    /** Ends every open stream with an error. */
    void failAll(byte[] error) {
        List<Exchange> open;
        synchronized (exchanges) {
            open = new ArrayList<>(exchanges.values());
        }
        for (Exchange exchange : open) exchange.fail(error);
    }

    /** Waits until everything has been handed to the system; not for ever, the daemon may be stuck. */
    void flush() {
        long left = TimeUnit.MILLISECONDS.toNanos(FLUSH_MS_MAX);
        lock.lock();
        try {
            while ((isWriting || !unsent.isEmpty()) && left > 0) left = changed.awaitNanos(left);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        } finally {
            lock.unlock();
        }
    }

    /**
     * Sends what is unsent and stops reading, before the process ends: with a thread inside of a read the virtual machine
     * would wait 300 ms for it.
     */
    void finish() {
        isExiting = true;
        flush();
        try {
            channel.shutdownInput();
            Thread reader = readerThread;
            if (reader != null) reader.join(READER_END_MS_MAX);
        } catch (IOException error) {
            // The daemon was faster.
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    void exit(int code) {
        finish();
        Runtime.getRuntime().halt(code);
    }

    private void waitForRoom() {
        while (unsentBytes > UNSENT_BYTES_MAX) changed.awaitUninterruptibly();
    }

    private void add(byte[] frame) {
        unsent.add(frame);
        unsentBytes += frame.length;
        changed.signalAll();
    }

    private void writeForEver() {
        ByteBuffer buffer = ByteBuffer.allocateDirect(WRITE_BYTES);
        List<byte[]> frames = new ArrayList<>();
        try {
            while (true) {
                takeUnsent(frames);
                for (byte[] frame : frames) {
                    for (int offset = 0; offset < frame.length; ) {
                        int count = Math.min(buffer.remaining(), frame.length - offset);
                        buffer.put(frame, offset, count);
                        offset += count;
                        if (!buffer.hasRemaining()) drain(buffer);
                    }
                }
                drain(buffer);
                frames.clear();
            }
        } catch (IOException error) {
            // The daemon has closed the link.
            Runtime.getRuntime().halt(0);
        } catch (Throwable error) {
            die("the link broke: " + error);
        }
    }

    private void takeUnsent(List<byte[]> frames) {
        lock.lock();
        try {
            isWriting = false;
            changed.signalAll();
            while (unsent.isEmpty()) changed.awaitUninterruptibly();
            isWriting = true;
            frames.addAll(unsent);
            unsent.clear();
            unsentBytes = 0;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private void drain(ByteBuffer buffer) throws IOException {
        buffer.flip();
        while (buffer.hasRemaining()) channel.write(buffer);
        buffer.clear();
    }

    /** Tells that the code is loaded and waits for the daemon's word to go on. */
    void awaitProceed() {
        lock.lock();
        try {
            isHeld = true;
            add(Frame.empty(Frame.LOADED, 0));
            while (isHeld) changed.awaitUninterruptibly();
        } finally {
            lock.unlock();
        }
    }

    private void proceed() {
        lock.lock();
        try {
            if (!isHeld) throw new ProtocolError("PROCEED without LOADED");
            isHeld = false;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    // Receiving.

    /** Waits for SPECIALIZE: nothing else may come before it. */
    Map<String, Object> receiveSpecialize() {
        try {
            Frame frame = receive();
            if (frame.type() != Frame.SPECIALIZE) throw new ProtocolError("frame " + frame.type() + " before SPECIALIZE");
            return frame.asJson();
        } catch (ProtocolError error) {
            throw die(error.getMessage());
        }
    }

    /** Reads the link from a thread of its own from now on, so that its end is the end of the process at any moment. */
    void readWith(final Work work) {
        readerThread =
            new Thread("thaw-reader") {
                @Override
                public void run() {
                    try {
                        for (Frame frame = receive(); frame != null; frame = receive()) dispatch(frame, work);
                    } catch (Throwable error) {
                        die(error instanceof ProtocolError ? error.getMessage() : "the link broke: " + error);
                    }
                }
            };
        start(readerThread);
    }

    /** Null when this process is about to end by itself. */
    private Frame receive() {
        Frame frame = reader.next();
        while (frame == null) {
            int count;
            try {
                count = channel.read(reader.room());
            } catch (IOException error) {
                count = -1;
            }
            // Nobody is left who could want anything of this process.
            if (count < 0 && isExiting) return null;
            if (count < 0) Runtime.getRuntime().halt(0);
            reader.received(count);
            frame = reader.next();
        }
        return frame;
    }

    private void dispatch(Frame frame, Work work) {
        int stream = frame.stream();
        switch (frame.type()) {
            case Frame.REQUEST: {
                Frame.Message request = frame.asMessage();
                Object id = request.head().get("id");
                Exchange exchange = new Exchange(this, open(stream), id instanceof String ? (String) id : "");
                exchange.arrived(request.body(), request.isEnd());
                run(work, exchange, request.head());
                return;
            }
            case Frame.PROCEED:
                proceed();
                return;
            case Frame.HOOK:
                run(work, new HookExchange(this, open(stream)), frame.asJson());
                return;
            case Frame.DATA: {
                boolean isLast = frame.isLastData();
                Exchange exchange = find(stream);
                if (exchange != null) exchange.arrived(frame.dataBody(), isLast);
                return;
            }
            case Frame.CREDIT: {
                int bytes = frame.asCredit();
                Exchange exchange = find(stream);
                if (exchange != null) exchange.granted(bytes);
                return;
            }
            case Frame.CANCEL: {
                Exchange exchange = find(stream);
                if (exchange != null) exchange.cancel();
                return;
            }
            default:
                throw new ProtocolError("frame " + frame.type() + " is not the daemon's to send now");
        }
    }

    private void run(Work work, Exchange exchange, Map<String, Object> head) {
        synchronized (exchanges) {
            if (exchanges.size() >= EXCHANGES_MAX) throw new ProtocolError("more than " + EXCHANGES_MAX + " streams are open");
            exchanges.put(exchange.stream, exchange);
        }
        work.run(exchange, head);
    }

    /** Null for a stream that has ended: the frame was under way. */
    private Exchange find(int stream) {
        synchronized (exchanges) {
            return exchanges.get(stream);
        }
    }

    private int open(int stream) {
        long number = Integer.toUnsignedLong(stream);
        if (number <= lastStream) throw new ProtocolError("stream " + number + " is not new");
        lastStream = number;
        return stream;
    }

    /** Ends the process because the link is of no use any more; what is thrown never is. */
    static ProtocolError die(String why) {
        try (FileOutputStream stderr = new FileOutputStream(FileDescriptor.err)) {
            stderr.write(("thaw: " + why + "\n").getBytes(StandardCharsets.UTF_8));
        } catch (IOException error) {
            // There is nobody to tell.
        }
        Runtime.getRuntime().halt(1);
        return new ProtocolError(why);
    }
}
