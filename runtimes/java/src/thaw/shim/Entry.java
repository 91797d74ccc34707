package thaw.shim;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;

/** A method that the function's configuration names, with the object that it is called on. */
final class Entry {
    final Object instance;
    final Method method;
    /** Null for a static method's. */
    final Class<?> type;

    Entry(Object instance, Class<?> type, Method method) {
        this.instance = instance;
        this.type = type;
        this.method = method;
    }

    /** Calls it with as many of the arguments as it has parameters, and throws what it throws. */
    Object call(Object... arguments) throws Throwable {
        int count = method.getParameterCount();
        Object[] taken = count == arguments.length ? arguments : java.util.Arrays.copyOf(arguments, count);
        try {
            return method.invoke(instance, taken);
        } catch (InvocationTargetException error) {
            throw error.getCause();
        }
    }
}
