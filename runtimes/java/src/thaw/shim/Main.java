package thaw.shim;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The life of an instance: boot, specialise, serve. The path of the link is the program's argument; without one it is
 * THAW_LINK of the environment, which a Java program cannot remove from there. A second argument makes it a stem: the last
 * entry of its class path, see {@link ClassPath}.
 */
public final class Main {
    private Main() {}

    /** Serves one instance until the daemon closes the link. */
    public static void main(String[] arguments) throws IOException {
        String path = arguments.length > 0 ? arguments[0] : System.getenv("THAW_LINK");
        Stem stem = arguments.length > 1 ? prepare(arguments[1]) : null;
        if (path == null) throw Link.die("neither an argument nor THAW_LINK names the link");
        Link link;
        try {
            link = new Link(path);
        } catch (IOException error) {
            throw Link.die("no connection to " + path + ": " + error.getMessage());
        }
        link.send(Frame.json(Frame.HELLO, 0, hello()));
        Map<String, Object> specialize = link.receiveSpecialize();
        if (stem != null) become(stem, specialize);
        link.logs.replaceStreams();
        new Instance(link, specialize).serve();
    }

    private static Stem prepare(String classPath) {
        try {
            return Stem.prepare(classPath);
        } catch (IOException error) {
            throw Link.die("this cannot be a stem: " + error.getMessage());
        }
    }

    private static void become(Stem stem, Map<String, Object> specialize) {
        try {
            stem.become(specialize);
        } catch (IOException error) {
            throw Link.die("the stem cannot become the function's: " + error.getMessage());
        }
    }

    private static Map<String, Object> hello() throws IOException {
        Map<String, Object> hello = new LinkedHashMap<>();
        hello.put("protocol", 1);
        hello.put("runtime", "java");
        hello.put("version", System.getProperty("java.version"));
        hello.put("pid", pid());
        return hello;
    }

    /** ProcessHandle knows it as well, and starts threads of its own for that. */
    private static long pid() throws IOException {
        String name = new java.io.File("/proc/self").getCanonicalFile().getName();
        try {
            return Long.parseLong(name);
        } catch (NumberFormatException error) {
            return ProcessHandle.current().pid();
        }
    }
}
