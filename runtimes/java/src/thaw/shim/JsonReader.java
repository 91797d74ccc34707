package thaw.shim;

import java.lang.reflect.Array;
import java.lang.reflect.Constructor;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Member;
import java.lang.reflect.Modifier;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Makes of a parsed JSON value what a type asks for. Names that the type does not have are ignored, properties that the
 * JSON does not have keep what the constructor gave them.
 */
final class JsonReader {
    private JsonReader() {}

    static Object read(Object value, Type type) {
        Class<?> raw = JsonTypes.rawType(type);
        if (raw == Optional.class) return Optional.ofNullable(read(value, JsonTypes.argument(type, Optional.class, 0)));
        if (value == null) return raw.isPrimitive() ? JsonScalars.zero(raw) : null;
        if (raw == Object.class || raw == java.io.Serializable.class) return value;
        if (JsonScalars.isScalar(raw)) return JsonScalars.read(value, raw);
        if (raw.isArray()) return readArray(list(value, raw), type, raw);
        if (Collection.class.isAssignableFrom(raw) || raw == Iterable.class) return readCollection(list(value, raw), type, raw);
        if (Map.class.isAssignableFrom(raw)) return readMap(object(value, raw), type, raw);
        if (!JsonBeans.isOfUser(raw)) throw new JsonException("a value of type " + raw.getName() + " has no JSON");
        return raw.isRecord() ? readRecord(object(value, raw), type, raw) : readBean(object(value, raw), type, raw);
    }

    private static Object readArray(List<?> items, Type type, Class<?> raw) {
        Type itemType =
            type instanceof GenericArrayType ? ((GenericArrayType) type).getGenericComponentType() : raw.getComponentType();
        Object array = Array.newInstance(raw.getComponentType(), items.size());
        for (int i = 0; i < items.size(); i++) Array.set(array, i, readItem(items.get(i), itemType, i));
        return array;
    }

    private static Object readCollection(List<?> items, Type type, Class<?> raw) {
        Type itemType =
            raw == Iterable.class ? JsonTypes.argument(type, Iterable.class, 0) : JsonTypes.argument(type, Collection.class, 0);
        Collection<Object> collection = newCollection(raw);
        for (int i = 0; i < items.size(); i++) collection.add(readItem(items.get(i), itemType, i));
        return collection;
    }

    private static Object readItem(Object item, Type type, int index) {
        try {
            return read(item, type);
        } catch (JsonException error) {
            throw error.inside("[" + index + "]");
        }
    }

    @SuppressWarnings("unchecked")
    private static Collection<Object> newCollection(Class<?> raw) {
        if (raw.isAssignableFrom(ArrayList.class)) return new ArrayList<>();
        if (raw.isAssignableFrom(LinkedHashSet.class)) return new LinkedHashSet<>();
        if (SortedSet.class.isAssignableFrom(raw) && raw.isAssignableFrom(TreeSet.class)) return new TreeSet<>();
        if (raw.isAssignableFrom(ArrayDeque.class)) return new ArrayDeque<>();
        return (Collection<Object>) create(raw);
    }

    private static Object readMap(Map<?, ?> object, Type type, Class<?> raw) {
        Class<?> keyType = JsonTypes.rawType(JsonTypes.argument(type, Map.class, 0));
        Type valueType = JsonTypes.argument(type, Map.class, 1);
        Map<Object, Object> map = newMap(raw);
        for (Map.Entry<?, ?> entry : object.entrySet()) {
            String name = (String) entry.getKey();
            Object key = keyType == Object.class ? name : JsonScalars.read(name, keyType);
            map.put(key, readProperty(entry.getValue(), valueType, name));
        }
        return map;
    }

    @SuppressWarnings("unchecked")
    private static Map<Object, Object> newMap(Class<?> raw) {
        if (raw.isAssignableFrom(LinkedHashMap.class)) return new LinkedHashMap<>();
        if (SortedMap.class.isAssignableFrom(raw) && raw.isAssignableFrom(TreeMap.class)) return new TreeMap<>();
        if (raw.isAssignableFrom(java.util.concurrent.ConcurrentSkipListMap.class)) {
            return new java.util.concurrent.ConcurrentSkipListMap<>();
        }
        return (Map<Object, Object>) create(raw);
    }

    private static Object readRecord(Map<?, ?> object, Type type, Class<?> raw) {
        RecordComponent[] components = raw.getRecordComponents();
        Class<?>[] types = new Class<?>[components.length];
        Object[] values = new Object[components.length];
        for (int i = 0; i < components.length; i++) {
            String name = components[i].getName();
            types[i] = components[i].getType();
            values[i] = readProperty(object.get(name), JsonTypes.resolve(components[i].getGenericType(), type), name);
        }
        try {
            return construct(raw.getDeclaredConstructor(types), values);
        } catch (NoSuchMethodException error) {
            throw new JsonException(raw.getName() + " has no canonical constructor", error);
        }
    }

    private static Object readBean(Map<?, ?> object, Type type, Class<?> raw) {
        Object bean = create(raw);
        Map<String, Member> properties = JsonBean.of(raw).writable;
        for (Map.Entry<?, ?> entry : object.entrySet()) {
            String name = (String) entry.getKey();
            Member member = properties.get(name);
            if (member == null) continue;
            Type propertyType = JsonTypes.resolve(JsonBean.type(member), type);
            // A null for a number keeps what is there.
            if (entry.getValue() == null && JsonTypes.rawType(propertyType).isPrimitive()) continue;
            JsonBean.set(member, bean, readProperty(entry.getValue(), propertyType, name));
        }
        return bean;
    }

    private static Object readProperty(Object value, Type type, String name) {
        try {
            return read(value, type);
        } catch (JsonException error) {
            throw error.inside("." + name);
        }
    }

    private static Object create(Class<?> type) {
        if (type.isInterface() || Modifier.isAbstract(type.getModifiers())) {
            throw new JsonException("which class should stand for " + type.getName() + " is unknown");
        }
        try {
            return construct(type.getDeclaredConstructor());
        } catch (NoSuchMethodException error) {
            throw new JsonException("class " + type.getName() + " has no constructor without parameters", error);
        }
    }

    private static Object construct(Constructor<?> constructor, Object... arguments) {
        try {
            if (JsonBeans.isOfUser(constructor.getDeclaringClass())) constructor.setAccessible(true);
            return constructor.newInstance(arguments);
        } catch (InvocationTargetException error) {
            throw new JsonException("the constructor of " + constructor.getName() + " threw", error.getCause());
        } catch (InstantiationException | IllegalAccessException error) {
            throw new JsonException("no " + constructor.getName() + " can be made", error);
        }
    }

    private static List<?> list(Object value, Class<?> wanted) {
        if (value instanceof List) return (List<?>) value;
        throw JsonScalars.mismatch(value, wanted);
    }

    private static Map<?, ?> object(Object value, Class<?> wanted) {
        if (value instanceof Map) return (Map<?, ?>) value;
        throw JsonScalars.mismatch(value, wanted);
    }
}
