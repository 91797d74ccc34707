package thaw.shim;

import com.aliyun.fc.runtime.Context;
import com.aliyun.fc.runtime.FunctionInitializer;
import com.aliyun.fc.runtime.HttpRequestHandler;
import com.aliyun.fc.runtime.PojoRequestHandler;
import com.aliyun.fc.runtime.StreamRequestHandler;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;

/**
 * Calls of the published interfaces without reflection, whose first call costs a cold start about 10 ms on newer JDKs. What
 * has the shape of such a method but not the interface is called by {@link Entry#call}.
 */
final class Published {
    private static final String PACKAGE = "com.aliyun.fc.runtime.";

    private Published() {}

    static boolean isStream(Entry entry) {
        return implementsMethod(entry, "StreamRequestHandler", "handleRequest", 3);
    }

    static boolean isPojo(Entry entry) {
        return implementsMethod(entry, "PojoRequestHandler", "handleRequest", 2);
    }

    static boolean isHttp(Entry entry) {
        return implementsMethod(entry, "HttpRequestHandler", "handleRequest", 3);
    }

    static boolean isInitializer(Entry entry) {
        return implementsMethod(entry, "FunctionInitializer", "initialize", 1);
    }

    static void stream(Entry entry, InputStream input, OutputStream output, Object context) throws IOException {
        ((StreamRequestHandler) entry.instance).handleRequest(input, output, (Context) context);
    }

    @SuppressWarnings("unchecked")
    static Object pojo(Entry entry, Object input, Object context) {
        return ((PojoRequestHandler<Object, Object>) entry.instance).handleRequest(input, (Context) context);
    }

    /** Takes Objects: to verify that ours are the published ones, this class would need those where nobody has them. */
    static void http(Entry entry, Object request, Object response, Object context) throws IOException {
        ((HttpRequestHandler) entry.instance)
            .handleRequest((HttpServletRequest) request, (HttpServletResponse) response, (Context) context);
    }

    static void initialize(Entry entry, Object context) throws IOException {
        ((FunctionInitializer) entry.instance).initialize((Context) context);
    }

    private static boolean implementsMethod(Entry entry, String name, String method, int parameters) {
        return entry.instance != null
            && entry.method.getName().equals(method)
            && entry.method.getParameterCount() == parameters
            && hasInterface(entry.type, PACKAGE + name);
    }

    private static boolean hasInterface(Class<?> type, String name) {
        if (type == null) return false;
        for (Class<?> each : type.getInterfaces()) {
            if (each.getName().equals(name) || hasInterface(each, name)) return true;
        }
        return hasInterface(type.getSuperclass(), name);
    }
}
