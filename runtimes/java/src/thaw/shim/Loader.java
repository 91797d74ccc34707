package thaw.shim;

import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Finds what {@code package.Class::method} names on the class path. A class has one object, which all its methods share:
 * what an initializer keeps in a field is there for the handler.
 */
final class Loader {
    static final String CONTEXT = "com.aliyun.fc.runtime.Context";

    private final Map<String, Object> instances = new HashMap<>();

    /** An initializer or a hook: a method without parameters or with the context alone. */
    synchronized Entry entry(String reference) throws Throwable {
        for (Entry entry : entries(reference)) {
            Class<?>[] types = entry.method.getParameterTypes();
            if (types.length == 0 || (types.length == 1 && types[0].getName().equals(CONTEXT))) return entry;
        }
        throw LoadError.noHandler("'" + reference + "' takes something else than the context");
    }

    /** All methods that a reference may mean; at least one. */
    synchronized List<Entry> entries(String reference) throws Throwable {
        int colons = reference.indexOf("::");
        if (colons <= 0 || colons + 2 == reference.length()) {
            throw LoadError.noHandler("'" + reference + "' does not have the form package.Class::method");
        }
        String className = reference.substring(0, colons);
        String name = reference.substring(colons + 2);
        Class<?> type = load(className);
        List<Method> methods = methods(type, name);
        if (methods.isEmpty()) throw LoadError.noHandler("class " + className + " has no public method '" + name + "'");
        List<Entry> entries = new ArrayList<>();
        for (Method method : methods) {
            // The class itself need not be public.
            method.setAccessible(true);
            Object instance = Modifier.isStatic(method.getModifiers()) ? null : instance(type);
            entries.add(new Entry(instance, type, method));
        }
        return entries;
    }

    /**
     * The public methods of that name, those of a subclass before those that they override. Bridges are left out, also
     * those by which a public class hands on what a hidden one above it has: their types are erased.
     */
    private static List<Method> methods(Class<?> type, String name) {
        List<Method> methods = new ArrayList<>();
        for (Class<?> each = type; each != null && each != Object.class; each = each.getSuperclass()) {
            for (Method method : each.getDeclaredMethods()) addMethod(method, name, methods);
        }
        for (Method method : type.getMethods()) if (method.isDefault()) addMethod(method, name, methods);
        return methods;
    }

    private static void addMethod(Method method, String name, List<Method> methods) {
        if (!method.getName().equals(name) || !Modifier.isPublic(method.getModifiers()) || method.isSynthetic()) return;
        for (Method other : methods) {
            if (java.util.Arrays.equals(other.getParameterTypes(), method.getParameterTypes())) return;
        }
        methods.add(method);
    }

    private static Class<?> load(String name) throws Throwable {
        try {
            return Class.forName(name, true, Loader.class.getClassLoader());
        } catch (ClassNotFoundException error) {
            // Another class than the one asked for is missing where that one is initialised.
            if (error.getMessage() != null && !error.getMessage().equals(name)) throw error;
            throw LoadError.noModule("the code package has no class " + name);
        } catch (NoClassDefFoundError error) {
            // A file system that ignores case finds the file of a class with another name.
            if (String.valueOf(error.getMessage()).contains("wrong name")) {
                throw LoadError.noModule("the code package has no class " + name);
            }
            throw error;
        } catch (ExceptionInInitializerError error) {
            throw error.getCause() == null ? error : error.getCause();
        }
    }

    private Object instance(Class<?> type) throws Throwable {
        Object instance = instances.get(type.getName());
        if (instance == null) {
            instance = create(type);
            instances.put(type.getName(), instance);
        }
        return instance;
    }

    private static Object create(Class<?> type) throws Throwable {
        if (type.isInterface() || Modifier.isAbstract(type.getModifiers())) {
            throw LoadError.noHandler("class " + type.getName() + " is abstract");
        }
        try {
            Constructor<?> constructor = type.getDeclaredConstructor();
            constructor.setAccessible(true);
            return constructor.newInstance();
        } catch (NoSuchMethodException error) {
            throw LoadError.noHandler("class " + type.getName() + " has no constructor without parameters");
        } catch (InvocationTargetException error) {
            throw error.getCause();
        }
    }
}
