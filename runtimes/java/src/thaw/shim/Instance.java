package thaw.shim;

import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** One function in this process. */
final class Instance implements Link.Work, Thread.UncaughtExceptionHandler {
    private static final byte[] EMPTY_HEAD = "{}".getBytes(StandardCharsets.US_ASCII);

    /** Given back when memory runs out, so that this can be told. */
    private static final int RESERVE_BYTES = 524_288;

    private final Link link;
    private final Map<String, Object> specialize;
    private final Map<String, Object> function;
    private final Contexts contexts;
    private final Loader loader = new Loader();
    private final Workers workers;
    private Handler handler;
    private volatile byte[] reserve = new byte[RESERVE_BYTES];
    /** Null when the start is over. */
    private volatile String phase = "load";

    @SuppressWarnings("unchecked")
    Instance(Link link, Map<String, Object> specialize) {
        this.link = link;
        this.specialize = specialize;
        this.function = (Map<String, Object>) specialize.get("function");
        this.contexts = new Contexts(link.logs, specialize);
        Object slots = specialize.get("concurrency");
        this.workers = new Workers(slots instanceof Integer ? (Integer) slots : 1, this);
    }

    /** Loads the function, then runs what the daemon asks for. Does not return. */
    void serve() {
        Thread.setDefaultUncaughtExceptionHandler(this);
        Runtime.getRuntime().addShutdownHook(new Thread("thaw-exit") {
            @Override
            public void run() {
                onExit();
            }
        });
        link.readWith(new Link.Work() {
            @Override
            public void run(Exchange exchange, Map<String, Object> head) {
                if (phase != null) throw new ProtocolError("a request before READY");
                workers.submit(exchange, head);
            }
        });
        try {
            start();
        } catch (Throwable error) {
            failStart(Failure.asValue(error));
        }
        workers.work();
    }

    private void start() throws Throwable {
        handler = Handlers.load(loader, text("handler"), String.valueOf(specialize.get("handlerType")), contexts);
        String reference = text("initializer");
        Entry initializer = reference == null ? null : loader.entry(reference);
        if (Boolean.TRUE.equals(specialize.get("hold"))) hold();
        if (initializer != null) {
            link.send(Frame.empty(Frame.INITIALIZING, 0));
            phase = "initializer";
            if (Published.isInitializer(initializer)) Published.initialize(initializer, contexts.ofInstance());
            else initializer.call(contexts.ofInstance());
        }
        link.logs.endOutside();
        if (workers.areMany()) link.logs.attributeByThread();
        Map<String, Object> ready = new LinkedHashMap<>();
        ready.put("handler", handler.kind());
        phase = null;
        link.send(Frame.json(Frame.READY, 0, ready));
    }

    /** The code is loaded ahead of its use: what else the first invocation would have to load is loaded too. */
    private void hold() {
        try {
            contexts.ofInstance();
        } catch (LinkageError error) {
            // The function has no published interfaces. A method that takes one of them is not found either.
        }
        link.logs.endOutside();
        link.awaitProceed();
    }

    private void failStart(Map<String, Object> error) {
        Map<String, Object> failed = new LinkedHashMap<>();
        failed.put("phase", phase);
        failed.put("error", error);
        link.logs.endOutside();
        link.send(Frame.json(Frame.START_FAILED, 0, failed));
        link.exit(1);
    }

    /** Runs an invocation or a hook in the calling thread. */
    @Override
    public void run(Exchange exchange, Map<String, Object> head) {
        link.logs.enter(exchange);
        try {
            if (exchange instanceof HookExchange) {
                runHook(String.valueOf(head.get("hook")));
                exchange.finish(EMPTY_HEAD);
            } else {
                handler.run(exchange, head);
            }
        } catch (Throwable error) {
            fail(exchange, error);
        } finally {
            link.logs.enter(null);
            // An interrupt that the handler left behind is not the next one's.
            Thread.interrupted();
        }
    }

    private void runHook(String hook) throws Throwable {
        boolean isKnown = hook.equals("preFreeze") || hook.equals("preStop") || hook.equals("postThaw");
        String reference = isKnown ? text(hook) : null;
        if (reference == null) throw LoadError.noHandler("no " + hook + " hook is configured");
        loader.entry(reference).call(contexts.ofInstance());
    }

    private void fail(Exchange exchange, Throwable error) {
        if (error instanceof Exchange.CallerGone && exchange.isCancelled()) {
            exchange.finish(EMPTY_HEAD);
            return;
        }
        if (Failure.isFatal(error)) endWith(error);
        else exchange.fail(Failure.describe(error));
    }

    private void endWith(Throwable error) {
        reserve = null;
        try {
            link.failAll(Failure.describe(error));
            link.logs.endOutside();
            link.exit(1);
        } catch (Throwable second) {
            // There is not even memory to tell. The daemon sees the process end.
            Runtime.getRuntime().halt(1);
        }
    }

    /** An error that ends a thread of the user's: as everywhere in Java the others go on, but not without memory. */
    @Override
    public void uncaughtException(Thread thread, Throwable error) {
        if (Failure.isFatal(error)) endWith(error);
        System.err.print("Exception in thread \"" + thread.getName() + "\" ");
        error.printStackTrace();
    }

    /** The process is about to end: by System.exit, or by a signal, which is the daemon's own doing. */
    private void onExit() {
        StackTraceElement[] caller = exitCaller();
        if (caller != null) {
            byte[] description = Failure.describeExit(caller);
            if (phase != null) failStart(Json.parseObject(new String(description, StandardCharsets.UTF_8)));
            link.failAll(description);
        }
        link.logs.endOutside();
        link.finish();
    }

    /** Where System.exit was called: that call waits for the shutdown hooks and never returns. */
    private static StackTraceElement[] exitCaller() {
        for (StackTraceElement[] frames : Thread.getAllStackTraces().values()) {
            for (int i = 0; i < frames.length; i++) {
                boolean isExit = frames[i].getMethodName().equals("exit") && frames[i].getClassName().equals("java.lang.Runtime");
                if (isExit) return java.util.Arrays.copyOfRange(frames, i, frames.length);
            }
        }
        return null;
    }

    private String text(String key) {
        Object value = function.get(key);
        return value instanceof String && !((String) value).isEmpty() ? (String) value : null;
    }
}
