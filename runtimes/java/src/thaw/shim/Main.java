package thaw.shim;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The life of an instance: boot, specialise, serve. The path of the link is the program's argument; without one it is
 * THAW_LINK of the environment, which a Java program cannot remove from there.
 */
public final class Main {
    private Main() {}

    /** Serves one instance until the daemon closes the link. */
    public static void main(String[] arguments) throws IOException {
        String path = arguments.length > 0 ? arguments[0] : System.getenv("THAW_LINK");
        if (path == null) throw Link.die("neither an argument nor THAW_LINK names the link");
        Link link;
        try {
            link = new Link(path);
        } catch (IOException error) {
            throw Link.die("no connection to " + path + ": " + error.getMessage());
        }
        link.send(Frame.json(Frame.HELLO, 0, hello()));
        Map<String, Object> specialize = link.receiveSpecialize();
        link.logs.replaceStreams();
        new Instance(link, specialize).serve();
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
