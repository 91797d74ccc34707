package logs;

import com.aliyun.fc.runtime.Context;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CyclicBarrier;

/** What the cases of logs run: README.md. */
public class Functions {
    private final CyclicBarrier both = new CyclicBarrier(2);

    public String lines(String event) {
        System.out.print("out 1\n");
        System.err.print("err 1\n");
        System.out.print("tail");
        return "done";
    }

    public String pieces(String event) {
        System.out.print("ab");
        System.out.print("cd\n");
        System.out.print("ef\ng");
        return "done";
    }

    public void longLine(String event) {
        System.out.print("x".repeat(100_000));
    }

    public void wide(String event) {
        System.out.print("世".repeat(40_000) + "\n");
    }

    public void logger(String event, Context context) {
        context.getLogger().info("hello world");
        context.getLogger().error("bad thing");
    }

    public String interleaved(String event) throws InterruptedException, BrokenBarrierException {
        System.out.println(event + " 1");
        both.await();
        System.out.println(event + " 2");
        both.await();
        System.out.println(event + " 3");
        return event;
    }

    public String quiet(String event) {
        return "quiet";
    }

    /** A thread of the function's own writes for the invocation that started it. */
    public String ofThread(String event) throws InterruptedException {
        Thread thread = new Thread(() -> System.out.println(event + " in a thread"));
        thread.start();
        thread.join();
        both(event);
        return event;
    }

    private void both(String event) throws InterruptedException {
        try {
            both.await();
        } catch (BrokenBarrierException error) {
            throw new IllegalStateException(error);
        }
    }
}
