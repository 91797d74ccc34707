package events;

import com.aliyun.fc.runtime.Context;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What the cases of events run: README.md. */
public class Functions {
    /** Is the number 42. */
    public static final int notCallable = 42;

    private int calls;

    public static class OrderError extends RuntimeException {
        OrderError(String message) {
            super(message);
        }
    }

    public void echo(InputStream event, OutputStream answer, Context context) throws IOException {
        event.transferTo(answer);
    }

    public Map<String, Object> jsonValue(String event, Context context) {
        Map<String, Object> value = new LinkedHashMap<>();
        value.put("text", "grüße");
        value.put("number", 1.5);
        value.put("list", Arrays.asList(true, null));
        value.put("nested", Collections.singletonMap("a", Collections.emptyList()));
        return value;
    }

    public String text(String event) {
        return "grüße, 世界";
    }

    public void nothing(String event) {}

    public void throwsPlainly(InputStream event, OutputStream answer, Context context) throws Exception {
        throw new Exception("the handler failed");
    }

    public void throwsOwnType(InputStream event, OutputStream answer, Context context) {
        throw new OrderError("no such order");
    }

    public Object notJson(String event) {
        return Thread.currentThread();
    }

    public Map<String, String> environment(List<String> names) {
        Map<String, String> values = new LinkedHashMap<>();
        for (String name : names) values.put(name, System.getenv(name));
        return values;
    }

    public Map<String, Object> context(String event, Context context) {
        Map<String, Object> told = new LinkedHashMap<>();
        told.put("requestId", context.getRequestId());
        told.put("functionName", context.getFunctionParam().getFunctionName());
        told.put("functionHandler", context.getFunctionParam().getFunctionHandler());
        told.put("memory", context.getFunctionParam().getMemoryLimitInMB());
        told.put("timeout", context.getFunctionParam().getExecTimeLimitInMillis() / 1000);
        // The published context tells neither.
        told.put("region", null);
        told.put("accountId", null);
        told.put("logProject", context.getService().getLogProject());
        told.put("logStore", context.getService().getLogStore());
        told.put("qualifier", context.getService().getQualifier());
        told.put("versionId", context.getService().getVersionId());
        return told;
    }

    public String count(String event) {
        calls++;
        return Integer.toString(calls);
    }

    public String slow(String event) throws InterruptedException {
        Thread.sleep(100);
        return "late";
    }
}
