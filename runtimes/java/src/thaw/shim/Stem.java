package thaw.shim;

import java.io.File;
import java.io.IOException;
import java.nio.channels.spi.SelectorProvider;
import java.util.Map;

/**
 * What a process needs that was started before its function was known: the function's variables and class path. Until then
 * nothing may have asked for either, nor for anything that follows from them, such as the time zone.
 */
final class Stem {
    /** Asks for the kind of channels that the JDK would make anyway, after a look for others on the class path. */
    private static final String CHANNELS = "java.nio.channels.spi.SelectorProvider";
    private static final String OWN_CHANNELS = "sun.nio.ch.EPollSelectorProvider";

    private final File classPath;
    private final Environ variables;

    private Stem(File classPath, Environ variables) {
        this.classPath = classPath;
        this.variables = variables;
    }

    /** Before the daemon is told that there is one: throws where this system would not let it become a function's. */
    static Stem prepare(String classPath) throws IOException {
        System.setProperty(CHANNELS, OWN_CHANNELS);
        SelectorProvider.provider();
        System.clearProperty(CHANNELS);
        Environ variables = Environ.find();
        try {
            Rehearsal.run();
        } catch (Throwable error) {
            throw new IOException("the rehearsal failed: " + error, error);
        }
        return new Stem(new File(classPath), variables);
    }

    @SuppressWarnings("unchecked")
    void become(Map<String, Object> specialize) throws IOException {
        variables.replace((Map<String, Object>) specialize.get("environment"));
        ClassPath.open(classPath, (String) specialize.get("codePath"), (String) specialize.get("layerPath"));
    }
}
