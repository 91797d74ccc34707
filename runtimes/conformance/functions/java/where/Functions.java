package where;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.TimeZone;
import java.util.TreeMap;

/** What a function sees of where it runs; nothing of it may depend on how it was started. */
public class Functions {
    private static final String OWN = "where/Functions.class";

    public Map<String, Object> look(String event) throws IOException {
        Map<String, Object> seen = new TreeMap<>();
        seen.put("environment", new TreeMap<>(System.getenv()));
        seen.put("childEnvironment", sorted(outputOf("/usr/bin/env").split("\n")));
        seen.put("childDirectory", outputOf("/bin/pwd", "-P"));
        seen.put("directory", System.getProperty("user.dir"));
        seen.put("files", sorted(new File(".").list()));
        seen.put("size", new File(OWN).length());
        seen.put("bytes", Files.readAllBytes(Path.of(OWN)).length);
        seen.put("absolute", new File(OWN).getCanonicalPath());
        seen.put("classPath", System.getProperty("java.class.path"));
        seen.put("resource", String.valueOf(getClass().getResource("Functions.class")));
        seen.put("isOfSystem", getClass().getClassLoader() == ClassLoader.getSystemClassLoader());
        seen.put("isOfThread", getClass().getClassLoader() == Thread.currentThread().getContextClassLoader());
        seen.put("zone", TimeZone.getDefault().getID());
        seen.put("heap", Runtime.getRuntime().maxMemory());
        seen.put("temporary", sorted(new File("/tmp").list()));
        seen.put("channels", String.valueOf(System.getProperty("java.nio.channels.spi.SelectorProvider")));
        return seen;
    }

    private static String outputOf(String... command) throws IOException {
        Process process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        return new String(process.getInputStream().readAllBytes()).trim();
    }

    private static String[] sorted(String[] names) {
        Arrays.sort(names);
        return names;
    }
}
