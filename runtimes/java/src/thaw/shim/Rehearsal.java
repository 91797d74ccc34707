package thaw.shim;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * What every instance does, done once for nobody while a stem has time: classes are loaded and linked, and the function
 * finds them so. It touches nothing that needs the function's libraries: what the virtual machine did not find once it
 * looks for no more.
 */
final class Rehearsal {
    private static final String SPECIALIZE =
        "{\"instanceId\":\"c-1\",\"function\":{\"name\":\"f\",\"handler\":\"a.B::c\",\"memory\":512,\"timeout\":3.5,"
            + "\"initializer\":null},\"handlerType\":\"auto\",\"environment\":{\"KEY\":\"gr\u00fc\u00dfe\\n\"},\"concurrency\":1}";
    private static final String REQUEST = "{\"id\":\"1-1\",\"kind\":\"event\",\"deadline\":1700000000000}";
    private static final byte[] EVENT = "{\"text\":\"t\",\"number\":1}".getBytes(StandardCharsets.US_ASCII);

    private Rehearsal() {}

    /** Handlers of the two kinds that need no published interface. */
    public static final class Sample {
        /** A part of the event. */
        public String text;
        /** Another one. */
        public int number;

        /** @return what came in */
        public Sample answer(Sample event) {
            return event;
        }

        /** Gives back what comes in. */
        public void pass(InputStream input, OutputStream output) throws IOException {
            output.write(input.readAllBytes());
        }
    }

    /** Prints nothing, sends nothing, and leaves nothing behind that a function could notice. */
    static void run() throws Throwable {
        loadFromArchive();
        // Nobody reads what this one sends.
        Link link = new Link();
        Contexts contexts = new Contexts(link.logs, parse(SPECIALIZE));
        FrameReader reader = new FrameReader();
        byte[] head = REQUEST.getBytes(StandardCharsets.US_ASCII);
        for (String method : new String[] {"pass", "answer"}) {
            Handler handler = Handlers.load(new Loader(), Sample.class.getName() + "::" + method, "auto", contexts);
            reader.put(Frame.message(Frame.REQUEST, 1, head, EVENT, 0, EVENT.length, true));
            Frame.Message request = reader.next().asMessage();
            Exchange exchange = new Exchange(link, 1, "1-1");
            exchange.arrived(request.body(), request.isEnd());
            handler.run(exchange, request.head());
        }
    }

    private static Map<String, Object> parse(String json) {
        byte[] frame = Frame.bytes(Frame.SPECIALIZE, 0, json.getBytes(StandardCharsets.UTF_8));
        return new Frame(Frame.SPECIALIZE, 0, ByteBuffer.wrap(frame, Frame.HEADER_BYTES, frame.length - Frame.HEADER_BYTES).slice()).asJson();
    }

    /** As classes of a function are: by a class loader in Java, and not from an archive of the virtual machine's. */
    private static void loadFromArchive() throws Exception {
        URL shim = Rehearsal.class.getProtectionDomain().getCodeSource().getLocation();
        try (URLClassLoader loader = new URLClassLoader(new URL[] {shim}, ClassLoader.getPlatformClassLoader())) {
            Class.forName(Sample.class.getName(), true, loader).getDeclaredConstructor().newInstance();
        }
    }
}
