package published;

import com.aliyun.fc.runtime.Context;
import java.util.ArrayList;
import java.util.List;

/** Functions that take the process with them, and some that only look like it. */
public class Ends {
    private static final List<byte[]> LEAKED = new ArrayList<>();

    public String exits(String event, Context context) {
        System.out.print("leaving");
        System.exit(3);
        return "never";
    }

    public String runsOutOfMemory(String event) {
        List<long[]> held = new ArrayList<>();
        while (true) held.add(new long[1 << 24]);
    }

    /** Keeps what it holds when it has failed. */
    public String leaks(String event) {
        while (true) LEAKED.add(new byte[16]);
    }

    /** The handler is fine, but not the process. */
    public String threadLeaks(String event) throws InterruptedException {
        Thread thread = new Thread(() -> leaks(event));
        thread.start();
        thread.join();
        Thread.sleep(60_000);
        return "late";
    }

    /** Ends its stack, not its process. */
    public int recurses(String event) {
        return event.equals("on") ? recurses(event) + 1 : 0;
    }

    public String threadThrows(String event) throws InterruptedException {
        Thread thread = new Thread(() -> { throw new IllegalStateException("alone"); }, "stray");
        thread.start();
        thread.join();
        return "still here";
    }

    /** An interrupt closes what a thread reads and writes at that moment; the link must not be among it. */
    public String interrupted(String event) {
        Thread.currentThread().interrupt();
        System.out.println("interrupted " + Thread.currentThread().isInterrupted());
        return Thread.interrupted() ? "yes" : "no";
    }
}
