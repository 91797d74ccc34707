package thaw.shim;

import java.io.File;
import java.io.IOException;
import java.lang.management.ClassLoadingMXBean;
import java.lang.management.ManagementFactory;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Goes once through what every instance does, with a daemon of its own, and ends as programs do: then the virtual machine
 * writes its archive of the classes that were used (README.md). Later starts take them from there.
 */
public final class Training {
    private Training() {}

    /** Classes that other functions than the sample use; those that need the published interfaces cannot be archived. */
    private static final String[] ALSO_USED = {"StreamHandler", "StreamHandler$EventOutput", "HttpHeaders", "HttpParameters"};

    private static final String[] WITH_INTERFACES = {
        "FcContext", "FcContext$FcCredentials", "FcContext$FcFunction", "FcContext$FcService", "FcContext$FcTracing", "FcLogger", "Published"
    };

    /** A function that loads fewer classes than this starts sooner from a stem than a virtual machine boots with an archive. */
    private static final int CLASSES_MIN = 300;
    /** Says that the archive is not worth keeping. */
    private static final String NOTHING = "/tmp/nothing";

    /** The first steps of a stem, which needs more than this to become a function's. */
    private static void beStem(Path path) throws IOException {
        Stem.prepare("");
        File archive = new File(path + ".jar");
        ClassPath.write(archive, ClassPath.pathsOf("/nonexistent", "/nonexistent"));
        if (!archive.delete()) throw Link.die("the training cannot remove " + archive);
    }

    /** What a small function may look like. */
    public static final class Sample {
        /** The text of the event. */
        public String text;

        /** @return what came in */
        public Sample handle(Sample event) {
            System.out.println(event.text);
            return event;
        }
    }

    /**
     * Trains; the argument is a path for a socket, which is removed at the end. With a handler and its type behind it, that is
     * loaded too, and not called.
     */
    public static void main(String[] arguments) throws IOException {
        Path path = Path.of(arguments[0]);
        beStem(path);
        for (String name : ALSO_USED) load(name);
        // The links stay open: the end of one would end this process before the archive is written.
        SocketChannel sample = connect(path);
        FrameReader reader = new FrameReader();
        start(sample, reader, Sample.class.getName() + "::handle", "auto");
        byte[] body = "{\"text\":\"grüße\"}".getBytes(StandardCharsets.UTF_8);
        byte[] head = "{\"id\":\"training\",\"kind\":\"event\",\"deadline\":0}".getBytes(StandardCharsets.UTF_8);
        send(sample, Frame.message(Frame.REQUEST, 1, head, body, 0, body.length, true));
        await(sample, reader, Frame.RESPONSE);
        if (arguments.length > 1) loadHandler(connect(path), arguments[1], arguments[2]);
        System.exit(0);
    }

    /** An instance in this process; the daemon's end of its link. */
    private static SocketChannel connect(final Path path) throws IOException {
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(path));
            Thread instance =
                new Thread("thaw-trainee") {
                    @Override
                    public void run() {
                        try {
                            Main.main(new String[] {path.toString()});
                        } catch (IOException error) {
                            throw Link.die("the training found no daemon: " + error.getMessage());
                        }
                    }
                };
            instance.setDaemon(true);
            instance.start();
            SocketChannel link = server.accept();
            Files.delete(path);
            return link;
        }
    }

    private static void start(SocketChannel link, FrameReader reader, String handler, String type) throws IOException {
        await(link, reader, Frame.HELLO);
        send(link, Frame.json(Frame.SPECIALIZE, 0, specialize(handler, type)));
        await(link, reader, Frame.READY);
    }

    private static void loadHandler(SocketChannel link, String handler, String type) throws IOException {
        ClassLoadingMXBean classes = ManagementFactory.getClassLoadingMXBean();
        long before = classes.getTotalLoadedClassCount();
        start(link, new FrameReader(), handler, type);
        if (classes.getTotalLoadedClassCount() - before < CLASSES_MIN && !new File(NOTHING).createNewFile()) {
            throw Link.die("the training cannot leave its mark");
        }
        for (String name : WITH_INTERFACES) {
            try {
                Class.forName(Training.class.getPackageName() + "." + name);
            } catch (ClassNotFoundException | LinkageError error) {
                // The function does without the published interfaces.
            }
        }
    }

    private static void load(String name) {
        try {
            Class.forName(Training.class.getPackageName() + "." + name);
        } catch (ClassNotFoundException error) {
            throw Link.die("the training found no class " + name);
        }
    }

    private static Map<String, Object> specialize(String handler, String type) {
        Map<String, Object> function = new LinkedHashMap<>();
        function.put("handler", handler);
        Map<String, Object> value = new LinkedHashMap<>();
        value.put("instanceId", "training");
        value.put("function", function);
        value.put("handlerType", type);
        value.put("concurrency", 1);
        return value;
    }

    private static void await(SocketChannel link, FrameReader reader, int type) throws IOException {
        while (true) {
            Frame frame = reader.next();
            if (frame != null && frame.type() == type) return;
            if (frame != null && frame.type() == Frame.START_FAILED) throw Link.die(reason(frame));
            if (frame != null && frame.type() != Frame.LOG) throw Link.die("the training met frame " + frame.type());
            if (frame != null) continue;
            int count = link.read(reader.room());
            if (count < 0) throw Link.die("the training was broken off");
            reader.received(count);
        }
    }

    private static String reason(Frame failed) {
        Map<?, ?> error = (Map<?, ?>) failed.asJson().get("error");
        return error.get("errorType") + ": " + error.get("errorMessage");
    }

    private static void send(SocketChannel link, byte[] frame) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(frame);
        while (bytes.hasRemaining()) link.write(bytes);
    }
}
