package thaw.shim;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Date;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.UUID;
import java.util.stream.Stream;

/** The codec against the vectors that all codecs share, JSON, and that no method of the published interfaces is missing. */
public final class ShimTest {
    private static final HexFormat HEX = HexFormat.of();
    private static final String[] TYPES = {
        "", "HELLO", "SPECIALIZE", "INITIALIZING", "READY", "START_FAILED", "HOOK", "HOOK_END", "", "LOADED", "PROCEED", "", "", "", "", "",
        "REQUEST", "DATA", "CREDIT", "CANCEL", "RESPONSE", "ERROR", "LOG"
    };

    private ShimTest() {}

    /** The argument is the path of frames.json. Prints the claim that is not true and ends with 1. */
    public static void main(String[] arguments) throws Exception {
        Map<String, Object> vectors = Json.parseObject(Files.readString(Path.of(arguments[0])));
        framesAreDecodedAndEncoded(vectors);
        streamsAreCutIntoFrames(vectors);
        invalidBytesAreRefused(vectors);
        jsonIsReadAndWritten();
        jsonThatIsNoneIsRefused();
        valuesFitTypes();
        valuesThatDoNotFitAreRefused();
        beansAreWritten();
        linesAreCut();
        publishedInterfacesAreComplete();
        System.out.println("all claims hold");
    }

    // Frames.

    private static void framesAreDecodedAndEncoded(Map<String, Object> vectors) {
        for (Map<String, Object> vector : maps(vectors.get("frames"))) {
            byte[] bytes = HEX.parseHex((String) vector.get("hex"));
            FrameReader reader = new FrameReader();
            reader.put(bytes);
            Frame frame = reader.next();
            same(vector.get("name"), meaning(vector), meaning(frame));
            same(vector.get("name"), null, reader.next());
            same(vector.get("name"), vector.get("hex"), HEX.formatHex(encode(vector)));
        }
    }

    private static void streamsAreCutIntoFrames(Map<String, Object> vectors) {
        List<Map<String, Object>> frames = maps(vectors.get("frames"));
        for (Map<String, Object> stream : maps(vectors.get("streams"))) {
            List<Object> expected = new ArrayList<>();
            for (Object index : (List<?>) stream.get("frames")) expected.add(meaning(frames.get((Integer) index)));
            List<Object> found = new ArrayList<>();
            FrameReader reader = new FrameReader();
            for (Object chunk : (List<?>) stream.get("chunks")) {
                reader.put(HEX.parseHex((String) chunk));
                for (Frame frame = reader.next(); frame != null; frame = reader.next()) found.add(meaning(frame));
            }
            same(stream.get("name"), expected, found);
        }
    }

    private static void invalidBytesAreRefused(Map<String, Object> vectors) {
        for (Map<String, Object> vector : maps(vectors.get("invalid"))) {
            FrameReader reader = new FrameReader();
            reader.put(HEX.parseHex((String) vector.get("hex")));
            if (vector.get("layer").equals("frame")) {
                throwsProtocolError(vector.get("name"), reader::next);
            } else {
                Frame frame = reader.next();
                throwsProtocolError(vector.get("name"), () -> meaning(frame));
            }
        }
    }

    private static Map<String, Object> meaning(Map<String, Object> vector) {
        Map<String, Object> meaning = new LinkedHashMap<>(vector);
        meaning.remove("name");
        meaning.remove("hex");
        meaning.put("stream", ((Number) vector.get("stream")).longValue());
        return meaning;
    }

    private static Map<String, Object> meaning(Frame frame) {
        Map<String, Object> meaning = new LinkedHashMap<>();
        meaning.put("type", TYPES[frame.type()]);
        meaning.put("stream", Integer.toUnsignedLong(frame.stream()));
        switch (frame.type()) {
            case Frame.REQUEST, Frame.RESPONSE -> {
                Frame.Message message = frame.asMessage();
                meaning.put("head", message.head());
                meaning.put("end", message.isEnd());
                meaning.put("bodyHex", hex(message.body()));
            }
            case Frame.DATA -> {
                meaning.put("end", frame.isLastData());
                meaning.put("bodyHex", hex(frame.dataBody()));
            }
            case Frame.CREDIT -> meaning.put("credit", frame.asCredit());
            case Frame.LOG -> {
                meaning.put("source", frame.payload().get(0) == Logs.STDOUT ? "stdout" : "stderr");
                meaning.put("text", StandardCharsets.UTF_8.decode(frame.dataBody()).toString());
            }
            case Frame.INITIALIZING, Frame.LOADED, Frame.PROCEED, Frame.CANCEL -> {}
            default -> meaning.put("json", frame.asJson());
        }
        return meaning;
    }

    private static byte[] encode(Map<String, Object> vector) {
        int type = Arrays.asList(TYPES).indexOf(vector.get("type"));
        int stream = ((Number) vector.get("stream")).intValue();
        byte[] body = HEX.parseHex((String) vector.getOrDefault("bodyHex", ""));
        boolean isEnd = Boolean.TRUE.equals(vector.get("end"));
        switch (type) {
            case Frame.REQUEST:
            case Frame.RESPONSE: {
                byte[] head = Json.write(vector.get("head")).getBytes(StandardCharsets.UTF_8);
                return Frame.message(type, stream, head, body, 0, body.length, isEnd);
            }
            case Frame.DATA:
                return Frame.data(stream, body, 0, body.length, isEnd);
            case Frame.CREDIT:
                return Frame.credit(stream, (Integer) vector.get("credit"));
            case Frame.LOG: {
                byte[] text = ((String) vector.get("text")).getBytes(StandardCharsets.UTF_8);
                return Frame.log(stream, vector.get("source").equals("stdout") ? 1 : 2, text, 0, text.length);
            }
            case Frame.INITIALIZING:
            case Frame.LOADED:
            case Frame.PROCEED:
            case Frame.CANCEL:
                return Frame.empty(type, stream);
            default:
                return Frame.json(type, stream, vector.get("json"));
        }
    }

    private static String hex(java.nio.ByteBuffer bytes) {
        byte[] copy = new byte[bytes.remaining()];
        bytes.get(copy);
        return HEX.formatHex(copy);
    }

    // JSON.

    private static void jsonIsReadAndWritten() {
        for (String text :
            List.of("null", "true", "0", "-1", "2147483648", "12345678901234567890123", "1.5", "{}", "[]", "\"\"",
                "{\"a\":[1,{\"b\":null}],\"c\":\"\\\"\\\\\\n\\u0001ü世😀\"}")) {
            same(text, text, Json.write(Json.parse(" \n" + text + "\t\r ")));
        }
        same("an escape", "\"A\n/😀", Json.parse("\"\\\"\\u0041\\n\\/\\ud83d\\ude00\""));
        same("half a pair", "\"\\ud800\"", Json.write("\ud800"));
        same("an Integer", Integer.class, Json.parse("2147483647").getClass());
        same("a Long", Long.class, Json.parse("9223372036854775807").getClass());
        same("a BigInteger", BigInteger.class, Json.parse("9223372036854775808").getClass());
        same("a Double", 1e300, Json.parse("1E+300"));
        same("many digits", new BigDecimal("0.12345678901234567890"), Json.parse("0.12345678901234567890"));
        same("the last of a name twice", Map.of("a", 2), Json.parse("{\"a\":1,\"a\":2}"));
    }

    private static void jsonThatIsNoneIsRefused() {
        for (String text :
            List.of("", " ", "{", "[", "[1,]", "{\"a\"}", "{\"a\":1,}", "{a:1}", "01", "-", "1.", ".5", "1e", "+1", "tru", "nul",
                "\"", "\"\\x\"", "\"\\u12g4\"", "\"\\\"", "\"\t\"", "1 2", "[1]]", "'a'", "NaN", "1e999999999999", "\"\\u０041\"")) {
            throwsJsonException(text, () -> Json.parse(text));
        }
        throwsJsonException("a deep array", () -> Json.parse("[".repeat(1000) + "]".repeat(1000)));
        throwsJsonException("NaN", () -> Json.write(Double.NaN));
        throwsJsonException("a thread", () -> Json.write(Thread.currentThread()));
        List<Object> itself = new ArrayList<>();
        itself.add(itself);
        throwsJsonException("a value inside itself", () -> Json.write(itself));
    }

    enum Color {
        RED,
        GREEN {
            @Override
            public String toString() {
                return "another text";
            }
        }
    }

    record Pair<A, B>(A left, B right) {}

    static class Node<T> {
        private T value;
        public List<Node<T>> children;
        transient int hidden = 1;
        int plain = 7;

        public T getValue() {
            return value;
        }

        public void setValue(T value) {
            this.value = value;
        }
    }

    static final class Dated extends Node<LocalDate> {
        private boolean done;
        private String URL;

        public boolean isDone() {
            return done;
        }

        public void setDone(boolean done) {
            this.done = done;
        }

        public String getURL() {
            return URL;
        }
    }

    static final class Fields {
        private int a = 1;
        private final String b = "two";
    }

    /** Types to read by, as fields have them. */
    @SuppressWarnings("unused")
    static final class Wanted {
        List<Integer> integers;
        Set<Color> colors;
        SortedMap<Integer, Long> sorted;
        Map<String, Object> anything;
        Pair<String, List<Pair<Integer, Boolean>>> pair;
        Optional<UUID> optional;
        int[][] matrix;
        List<String>[] lists;
        List<? extends Number> numbers;
    }

    private static void valuesFitTypes() throws Exception {
        same("integers", List.of(1, 2), read("[1,2.0]", field("integers")));
        same("colors", Set.of(Color.RED, Color.GREEN), read("[\"RED\",\"GREEN\"]", field("colors")));
        same("sorted", Map.of(1, 2L, 3, 4L), read("{\"3\":4,\"1\":2}", field("sorted")));
        same("anything", Map.of("a", List.of(1, "b")), read("{\"a\":[1,\"b\"]}", field("anything")));
        same("pair", new Pair<>("x", List.of(new Pair<>(1, true))),
            read("{\"left\":\"x\",\"right\":[{\"left\":1,\"right\":true}]}", field("pair")));
        same("optional", Optional.empty(), read("null", field("optional")));
        same("matrix", "[[1, 2], []]", Arrays.deepToString((int[][]) read("[[1,2],[]]", field("matrix"))));
        same("lists", List.of("a"), ((List<?>[]) read("[[\"a\"]]", field("lists")))[0]);
        same("numbers", List.of(1, 1.5), read("[1,1.5]", field("numbers")));
        same("a day", LocalDate.of(2026, 2, 28), read("\"2026-02-28\"", LocalDate.class));
        same("an instant", Instant.ofEpochMilli(5), read("5", Instant.class));
        same("a zone", ZoneId.of("Asia/Shanghai"), read("\"Asia/Shanghai\"", ZoneId.class));
        same("a duration", Duration.ofMinutes(1), read("\"PT1M\"", Duration.class));
        same("a date", new Date(1000), read("\"1970-01-01T01:00:01+01:00\"", Date.class));
        same("bytes", "hi", new String((byte[]) read("\"aGk=\"", byte[].class), StandardCharsets.UTF_8));
        same("money", new BigDecimal("0.10"), read("\"0.10\"", BigDecimal.class));
        same("a char", 'x', read("\"x\"", char.class));
        same("nothing for a number", 0, read("null", int.class));
        Dated dated = (Dated) read("{\"value\":\"2026-01-01\",\"done\":true,\"URL\":\"u\",\"plain\":null,\"children\":[]}", Dated.class);
        same("a bean of a generic class", "2026-01-01 true u 7 []",
            dated.getValue() + " " + dated.isDone() + " " + dated.getURL() + " " + dated.plain + " " + dated.children);
    }

    private static void valuesThatDoNotFitAreRefused() {
        Map<String, Class<?>> pairs = new LinkedHashMap<>();
        pairs.put("1.5", int.class);
        pairs.put("300", byte.class);
        pairs.put("\"BLUE\"", Color.class);
        pairs.put("[]", String.class);
        pairs.put("{}", List.class);
        pairs.put("\"2026-02-30\"", LocalDate.class);
        pairs.put("\"xy\"", char.class);
        pairs.put("true", long.class);
        pairs.put("{ }", Runnable.class);
        pairs.put("{  }", Thread.class);
        pairs.put("1e999999", BigInteger.class);
        pairs.forEach((text, type) -> throwsJsonException(text + " as " + type, () -> read(text, type)));
    }

    private static void beansAreWritten() {
        Dated dated = new Dated();
        dated.setValue(LocalDate.of(2026, 1, 2));
        same("a bean", "{\"value\":\"2026-01-02\",\"children\":null,\"done\":false,\"URL\":null}", Json.write(dated));
        same("fields", "{\"a\":1,\"b\":\"two\"}", Json.write(new Fields()));
        same("a record", "{\"left\":\"GREEN\",\"right\":[1,2]}", Json.write(new Pair<>(Color.GREEN, new int[] {1, 2})));
        same("texts", "[\"1970-01-01T00:00:00Z\",\"aGk=\",\"/tmp\",1,[2]]",
            Json.write(List.of(new Date(0), "hi".getBytes(StandardCharsets.UTF_8), Path.of("/tmp"), Optional.of(1), Stream.of(2))));
        same("keys", "{\"RED\":1}", Json.write(Map.of(Color.RED, 1)));
    }

    private static Object read(String text, Type type) {
        return JsonReader.read(Json.parse(text), type);
    }

    private static Type field(String name) throws NoSuchFieldException {
        return Wanted.class.getDeclaredField(name).getGenericType();
    }

    // Logs.

    private static void linesAreCut() throws IOException {
        byte[] text = ("世".repeat(30_000) + "\nshort\nrest").getBytes(StandardCharsets.UTF_8);
        ByteArrayOutputStream sent = new ByteArrayOutputStream();
        LineBuffer line = new LineBuffer();
        List<byte[]> frames = new ArrayList<>();
        for (int i = 0; i < text.length; i += 1000) {
            frames.addAll(line.add(1, Logs.STDOUT, text, i, Math.min(1000, text.length - i)));
        }
        frames.add(line.end(1, Logs.STDOUT));
        for (byte[] frame : frames) {
            String piece = new String(frame, Frame.HEADER_BYTES + 1, frame.length - Frame.HEADER_BYTES - 1, StandardCharsets.UTF_8);
            same("no character is cut", -1, piece.indexOf('\ufffd'));
            sent.write(piece.getBytes(StandardCharsets.UTF_8));
        }
        same("all of it is sent", new String(text, StandardCharsets.UTF_8), sent.toString(StandardCharsets.UTF_8));
        same("nothing is left", null, line.end(1, Logs.STDOUT));
        byte[] broken = {(byte) 0xe4, '\n'};
        byte[] frame = line.add(1, Logs.STDOUT, broken, 0, 2).get(0);
        same("bytes that are no text", "\ufffd\n", new String(frame, 10, frame.length - 10, StandardCharsets.UTF_8));
    }

    // What the names in stubs/ cannot promise.

    private static void publishedInterfacesAreComplete() throws ReflectiveOperationException {
        String runtime = "com.aliyun.fc.runtime.";
        implementsAll(FcContext.class, runtime + "Context");
        implementsAll(FcLogger.class, runtime + "FunctionComputeLogger");
        implementsAll(Class.forName("thaw.shim.FcContext$FcCredentials"), runtime + "Credentials");
        implementsAll(Class.forName("thaw.shim.FcContext$FcFunction"), runtime + "FunctionParam");
        implementsAll(Class.forName("thaw.shim.FcContext$FcService"), runtime + "Service");
        implementsAll(Class.forName("thaw.shim.FcContext$FcTracing"), runtime + "OpenTracing");
        implementsAll(HttpRequest.class, "javax.servlet.http.HttpServletRequest");
        implementsAll(HttpResponse.class, "javax.servlet.http.HttpServletResponse");
        implementsAll(HttpBody.class, "javax.servlet.ServletInputStream");
        implementsAll(HttpOutput.class, "javax.servlet.ServletOutputStream");
    }

    private static void implementsAll(Class<?> ours, String published) throws ReflectiveOperationException {
        for (Method method : Class.forName(published).getMethods()) {
            Method found = ours.getMethod(method.getName(), method.getParameterTypes());
            boolean isThere = !Modifier.isAbstract(found.getModifiers()) && found.getReturnType() == method.getReturnType();
            same(method + " in " + ours, true, isThere);
        }
    }

    // Claims.

    private interface Claim {
        Object run();
    }

    private static void same(Object what, Object expected, Object found) {
        if (expected == null ? found != null : !expected.equals(found)) {
            throw new AssertionError(what + ":\n expected " + expected + "\n    found " + found);
        }
    }

    private static void throwsJsonException(Object what, Claim claim) {
        try {
            Object found = claim.run();
            throw new AssertionError(what + " was taken for " + found);
        } catch (JsonException error) {
            // As it should be.
        }
    }

    private static void throwsProtocolError(Object what, Claim claim) {
        try {
            Object found = claim.run();
            throw new AssertionError(what + " was taken for " + found);
        } catch (ProtocolError error) {
            // As it should be.
        }
    }

    @SuppressWarnings("unchecked")
    private static List<Map<String, Object>> maps(Object value) {
        return (List<Map<String, Object>>) value;
    }
}
