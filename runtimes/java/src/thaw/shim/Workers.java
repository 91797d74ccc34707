package thaw.shim;

import java.util.ArrayDeque;
import java.util.Map;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Threads that run invocations: the main one, and as many more as there ever were invocations at once, at most one for
 * each slot. They are platform threads: with so few of them virtual ones save nothing, and cost their machinery.
 */
final class Workers {
    private record Job(Exchange exchange, Map<String, Object> head) {}

    private final int slots;
    private final Link.Work run;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition hasJob = lock.newCondition();
    private final ArrayDeque<Job> jobs = new ArrayDeque<>();
    private int idle;
    /** The main thread counts from the start: it is on its way. */
    private int threads = 1;

    Workers(int slots, Link.Work run) {
        this.slots = slots;
        this.run = run;
    }

    boolean areMany() {
        return slots > 1;
    }

    /** Gives a job to an idle thread, else to a new one, else to the first that becomes idle. */
    void submit(Exchange exchange, Map<String, Object> head) {
        boolean needsThread;
        lock.lock();
        try {
            jobs.add(new Job(exchange, head));
            hasJob.signal();
            needsThread = jobs.size() > idle && threads < slots;
            if (needsThread) threads++;
        } finally {
            lock.unlock();
        }
        if (!needsThread) return;
        Thread thread = new Thread("thaw-worker") {
            @Override
            public void run() {
                work();
            }
        };
        thread.setDaemon(true);
        thread.start();
    }

    /** Runs jobs in the calling thread for ever. */
    void work() {
        while (true) {
            Job job = take();
            run.run(job.exchange, job.head);
        }
    }

    private Job take() {
        lock.lock();
        try {
            idle++;
            while (jobs.isEmpty()) hasJob.awaitUninterruptibly();
            idle--;
            return jobs.remove();
        } finally {
            lock.unlock();
        }
    }
}
