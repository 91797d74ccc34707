package thaw.shim;

import com.aliyun.fc.runtime.FunctionComputeLogger;
import java.time.Instant;
import java.time.temporal.ChronoUnit;

/** Prints {@code 2022-04-01T10:04:19.024Z <request id> [INFO] message}; all levels until the function sets one. */
final class FcLogger implements FunctionComputeLogger {
    private static final String[] LEVELS = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};

    private final String requestId;
    private volatile int lowest;

    FcLogger(String requestId) {
        this.requestId = requestId;
    }

    public void trace(String message) {
        log(0, message);
    }

    public void debug(String message) {
        log(1, message);
    }

    public void info(String message) {
        log(2, message);
    }

    public void warn(String message) {
        log(3, message);
    }

    public void error(String message) {
        log(4, message);
    }

    public void fatal(String message) {
        log(5, message);
    }

    public void setLogLevel(FunctionComputeLogger.Level level) {
        for (int i = 0; i < LEVELS.length; i++) if (LEVELS[i].equals(level.name())) lowest = i;
    }

    private void log(int level, String message) {
        if (level < lowest) return;
        Instant now = Instant.now().truncatedTo(ChronoUnit.MILLIS);
        // Instant leaves out the fraction where it is zero.
        String time = now.getNano() == 0 ? now.toString().replace("Z", ".000Z") : now.toString();
        System.out.print(time + " " + requestId + " [" + LEVELS[level] + "] " + message + "\n");
    }
}
