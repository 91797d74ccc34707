package thaw.shim;

import java.io.InputStream;
import java.io.OutputStream;
import java.util.List;

/** Tells by the types of a method's parameters what kind of handler it is. */
final class Handlers {
    private static final String REQUEST = "javax.servlet.http.HttpServletRequest";
    private static final String RESPONSE = "javax.servlet.http.HttpServletResponse";

    private Handlers() {}

    /** {@code handlerType} chooses where a class has handlers of both kinds under one name, and else must agree. */
    static Handler load(Loader loader, String reference, String handlerType, Contexts contexts) throws Throwable {
        if (reference == null) throw LoadError.noHandler("the function names no handler");
        List<Entry> entries = loader.entries(reference);
        Entry pojo = null;
        for (Entry entry : entries) {
            Class<?>[] types = entry.method.getParameterTypes();
            if (!handlerType.equals("http") && isStream(types)) return new StreamHandler(entry, contexts);
            if (!handlerType.equals("event") && isHttp(types)) return new HttpHandler(entry, contexts);
            if (isPojo(types)) pojo = entry;
        }
        if (pojo != null && !handlerType.equals("http")) return new PojoHandler(pojo, contexts);
        String kind = handlerType.equals("auto") ? "a handler" : "an " + handlerType + " handler";
        throw LoadError.noHandler("the parameters of '" + reference + "' are not those of " + kind);
    }

    private static boolean isStream(Class<?>[] types) {
        return isShape(types, 2) && types[0] == InputStream.class && types[1] == OutputStream.class;
    }

    private static boolean isHttp(Class<?>[] types) {
        return isShape(types, 2) && types[0].getName().equals(REQUEST) && types[1].getName().equals(RESPONSE);
    }

    private static boolean isPojo(Class<?>[] types) {
        return isShape(types, 1) && !types[0].getName().equals(Loader.CONTEXT);
    }

    /** So many parameters, and the context after them or not. */
    private static boolean isShape(Class<?>[] types, int count) {
        return types.length == count || (types.length == count + 1 && types[count].getName().equals(Loader.CONTEXT));
    }
}
