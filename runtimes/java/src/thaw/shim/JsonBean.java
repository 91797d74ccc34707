package thaw.shim;

import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Member;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;

/**
 * The properties of one class of the user's. Read are getters ({@code getX}, {@code isX}), components of a record and
 * public fields, in the order in which the fields are declared; a class that has none of these gives all its fields.
 * Written are setters, and any field that has none.
 */
final class JsonBean {
    private static final ClassValue<JsonBean> BEANS =
        new ClassValue<>() {
            @Override
            protected JsonBean computeValue(Class<?> type) {
                return new JsonBean(type);
            }
        };

    private static final Function<String, List<Method>> NEW_LIST =
        new Function<>() {
            @Override
            public List<Method> apply(String property) {
                return new ArrayList<>();
            }
        };

    final Map<String, Member> readable = new LinkedHashMap<>();
    final Map<String, Member> writable = new LinkedHashMap<>();

    static JsonBean of(Class<?> type) {
        return BEANS.get(type);
    }

    private JsonBean(Class<?> type) {
        if (type.isRecord()) {
            for (RecordComponent component : type.getRecordComponents()) {
                component.getAccessor().setAccessible(true);
                readable.put(component.getName(), component.getAccessor());
            }
            return;
        }
        List<Field> fields = fields(type);
        Map<String, Method> getters = new TreeMap<>();
        Map<String, List<Method>> setters = new TreeMap<>();
        for (Method method : type.getMethods()) if (!method.isBridge()) addAccessor(method, getters, setters);
        // A public class hands on by bridges what a hidden one above it has.
        Map<String, Method> bridgedGetters = new TreeMap<>();
        Map<String, List<Method>> bridgedSetters = new TreeMap<>();
        for (Method method : type.getMethods()) if (method.isBridge()) addAccessor(method, bridgedGetters, bridgedSetters);
        for (Map.Entry<String, Method> entry : bridgedGetters.entrySet()) getters.putIfAbsent(entry.getKey(), entry.getValue());
        for (Map.Entry<String, List<Method>> entry : bridgedSetters.entrySet()) {
            setters.putIfAbsent(entry.getKey(), entry.getValue());
        }
        for (Map.Entry<String, List<Method>> entry : setters.entrySet()) {
            writable.put(entry.getKey(), setter(entry.getKey(), entry.getValue(), fields, getters.get(entry.getKey())));
        }
        for (Field field : fields) {
            Member getter = getters.remove(field.getName());
            if (getter != null) readable.put(field.getName(), getter);
            else if (Modifier.isPublic(field.getModifiers())) readable.put(field.getName(), field);
            if (!Modifier.isFinal(field.getModifiers())) writable.putIfAbsent(field.getName(), field);
        }
        readable.putAll(getters);
        if (readable.isEmpty()) for (Field field : fields) readable.put(field.getName(), field);
    }

    static Object get(Member member, Object bean) {
        try {
            return member instanceof Field ? ((Field) member).get(bean) : ((Method) member).invoke(bean);
        } catch (InvocationTargetException error) {
            throw new JsonException(member.getName() + " threw", error.getCause());
        } catch (IllegalAccessException error) {
            throw new JsonException(member.getName() + " cannot be read", error);
        }
    }

    static void set(Member member, Object bean, Object value) {
        try {
            if (member instanceof Field) ((Field) member).set(bean, value);
            else ((Method) member).invoke(bean, value);
        } catch (InvocationTargetException error) {
            throw new JsonException(member.getName() + " threw", error.getCause());
        } catch (IllegalAccessException error) {
            throw new JsonException(member.getName() + " cannot be set", error);
        }
    }

    static Type type(Member member) {
        return member instanceof Field ? ((Field) member).getGenericType() : ((Method) member).getGenericParameterTypes()[0];
    }

    private static void addAccessor(Method method, Map<String, Method> getters, Map<String, List<Method>> setters) {
        if (Modifier.isStatic(method.getModifiers()) || method.getDeclaringClass() == Object.class) return;
        String name = method.getName();
        int parameters = method.getParameterCount();
        Class<?> result = method.getReturnType();
        if (name.startsWith("set") && name.length() > 3 && parameters == 1) {
            setters.computeIfAbsent(property(name, 3), NEW_LIST).add(method);
        } else if (name.startsWith("get") && name.length() > 3 && parameters == 0 && result != void.class) {
            add(property(name, 3), method, getters);
        } else if (name.startsWith("is") && name.length() > 2 && parameters == 0 && result == boolean.class) {
            add(property(name, 2), method, getters);
        }
    }

    /** Of several setters the one for the type of the field or of the getter. */
    private static Method setter(String property, List<Method> setters, List<Field> fields, Method getter) {
        Method chosen = setters.get(0);
        for (Method setter : setters) {
            Class<?> type = setter.getParameterTypes()[0];
            if (getter != null && getter.getReturnType() == type) chosen = setter;
            for (Field field : fields) {
                if (field.getName().equals(property) && field.getType() == type) chosen = setter;
            }
        }
        chosen.setAccessible(true);
        return chosen;
    }

    private static void add(String property, Method method, Map<String, Method> methods) {
        method.setAccessible(true);
        methods.put(property, method);
    }

    /** As java.beans does it: {@code getURL} is URL, {@code getName} is name. */
    private static String property(String method, int prefix) {
        String name = method.substring(prefix);
        if (name.length() > 1 && Character.isUpperCase(name.charAt(0)) && Character.isUpperCase(name.charAt(1))) return name;
        return Character.toLowerCase(name.charAt(0)) + name.substring(1);
    }

    /** Of the class and those above it, the topmost first; without static, transient and hidden ones. */
    private static List<Field> fields(Class<?> type) {
        List<Field> fields = new ArrayList<>();
        if (type == null || type == Object.class || !JsonBeans.isOfUser(type)) return fields;
        fields.addAll(fields(type.getSuperclass()));
        for (Field field : type.getDeclaredFields()) {
            int modifiers = field.getModifiers();
            if (Modifier.isStatic(modifiers) || Modifier.isTransient(modifiers) || field.isSynthetic()) continue;
            field.setAccessible(true);
            fields.add(field);
        }
        return fields;
    }
}
