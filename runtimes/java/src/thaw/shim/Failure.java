package thaw.shim;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** How a Throwable of the user's code is told to the daemon: the Error of docs/RUNTIMES.md section 2. */
final class Failure {
    /** Together these fit a frame, whatever JSON makes of the characters. */
    private static final int NAME_CHARS_MAX = 256;
    private static final int MESSAGE_CHARS_MAX = 32_768;
    private static final int LINE_CHARS_MAX = 512;
    /** Lines of one Throwable; a recursion without end has a thousand. */
    private static final int LINES_MAX = 64;
    private static final int CAUSES_MAX = 8;
    /** Ready to be sent when there is no memory to make one. */
    private static final byte[] OUT_OF_MEMORY =
        ("{\"errorType\":\"java.lang.OutOfMemoryError\",\"errorMessage\":\"the function ran out of memory\","
                + "\"stackTrace\":[],\"handled\":false,\"fatal\":true}")
            .getBytes(StandardCharsets.UTF_8);

    private Failure() {}

    /** Whether the process cannot go on after this. */
    static boolean isFatal(Throwable error) {
        return error instanceof VirtualMachineError && !(error instanceof StackOverflowError);
    }

    static byte[] describe(Throwable error) {
        try {
            return Json.write(asValue(error)).getBytes(StandardCharsets.UTF_8);
        } catch (OutOfMemoryError second) {
            return OUT_OF_MEMORY;
        }
    }

    /** The error of a function that ended its own process; {@code caller} did. */
    static byte[] describeExit(StackTraceElement[] caller) {
        List<String> lines = new ArrayList<>();
        addLines(lines, caller);
        Map<String, Object> value = error("SystemExit", "the function ended its process", lines);
        value.put("fatal", true);
        return Json.write(value).getBytes(StandardCharsets.UTF_8);
    }

    static Map<String, Object> asValue(Throwable error) {
        List<String> lines = new ArrayList<>();
        String name = error instanceof LoadError ? ((LoadError) error).errorType : error.getClass().getName();
        if (!(error instanceof LoadError)) {
            Throwable cause = error;
            for (int i = 0; cause != null && i < CAUSES_MAX; i++, cause = cause.getCause()) {
                if (i > 0) lines.add(cut("Caused by: " + cause.getClass().getName() + ": " + message(cause), LINE_CHARS_MAX));
                addLines(lines, cause.getStackTrace());
            }
        }
        Map<String, Object> value = error(cut(name, NAME_CHARS_MAX), message(error), lines);
        if (isFatal(error)) value.put("fatal", true);
        return value;
    }

    private static Map<String, Object> error(String type, String message, List<String> lines) {
        Map<String, Object> value = new LinkedHashMap<>();
        value.put("errorType", type);
        value.put("errorMessage", message);
        value.put("stackTrace", lines);
        value.put("handled", false);
        return value;
    }

    /** A message is made by the user's code, which may throw once more. */
    private static String message(Throwable error) {
        try {
            String message = error.getLocalizedMessage();
            return message == null ? "" : cut(message, MESSAGE_CHARS_MAX);
        } catch (RuntimeException unprintable) {
            return "<the message could not be made: " + unprintable.getClass().getName() + ">";
        }
    }

    /** The frames of the user's code: those of the shim and of reflection below it are left out. */
    private static void addLines(List<String> lines, StackTraceElement[] frames) {
        int end = 0;
        while (end < frames.length && !callsUserCode(frames[end].getClassName())) end++;
        if (end < frames.length) while (end > 0 && isReflection(frames[end - 1].getClassName())) end--;
        for (int i = 0; i < Math.min(end, LINES_MAX); i++) lines.add(cut(frames[i].toString(), LINE_CHARS_MAX));
    }

    private static boolean callsUserCode(String className) {
        return className.equals(Entry.class.getName())
            || className.equals(Published.class.getName())
            || className.equals(Loader.class.getName());
    }

    private static boolean isReflection(String className) {
        return className.startsWith("java.lang.reflect.")
            || className.startsWith("jdk.internal.reflect.")
            || className.startsWith("java.lang.invoke.");
    }

    private static String cut(String text, int charsMax) {
        return text.length() <= charsMax ? text : text.substring(0, charsMax);
    }
}
