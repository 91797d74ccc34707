package thaw.shim;

import java.io.File;
import java.io.IOException;
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

    /** Trains; the argument is a path for a socket, which is removed at the end. */
    public static void main(String[] arguments) throws IOException {
        final Path path = Path.of(arguments[0]);
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
            beStem(path);
            for (String name : ALSO_USED) load(name);
            try (SocketChannel link = server.accept()) {
                serve(link);
                // The link stays open: its end would end this process before the archive is written.
                Files.delete(path);
                System.exit(0);
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

    private static void serve(SocketChannel link) throws IOException {
        FrameReader reader = new FrameReader();
        await(link, reader, Frame.HELLO);
        send(link, Frame.json(Frame.SPECIALIZE, 0, specialize()));
        await(link, reader, Frame.READY);
        byte[] body = "{\"text\":\"grüße\"}".getBytes(StandardCharsets.UTF_8);
        byte[] head = "{\"id\":\"training\",\"kind\":\"event\",\"deadline\":0}".getBytes(StandardCharsets.UTF_8);
        send(link, Frame.message(Frame.REQUEST, 1, head, body, 0, body.length, true));
        await(link, reader, Frame.RESPONSE);
    }

    private static Map<String, Object> specialize() {
        Map<String, Object> function = new LinkedHashMap<>();
        function.put("handler", Sample.class.getName() + "::handle");
        Map<String, Object> value = new LinkedHashMap<>();
        value.put("instanceId", "training");
        value.put("function", function);
        value.put("handlerType", "auto");
        value.put("concurrency", 1);
        return value;
    }

    private static void await(SocketChannel link, FrameReader reader, int type) throws IOException {
        while (true) {
            Frame frame = reader.next();
            if (frame != null && frame.type() == type) return;
            if (frame != null && frame.type() != Frame.LOG) throw Link.die("the training met frame " + frame.type());
            if (frame != null) continue;
            int count = link.read(reader.room());
            if (count < 0) throw Link.die("the training was broken off");
            reader.received(count);
        }
    }

    private static void send(SocketChannel link, byte[] frame) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(frame);
        while (bytes.hasRemaining()) link.write(bytes);
    }
}
