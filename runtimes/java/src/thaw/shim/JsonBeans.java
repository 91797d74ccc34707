package thaw.shim;

import java.lang.reflect.Array;
import java.lang.reflect.Member;
import java.net.URI;
import java.net.URL;
import java.nio.file.Path;
import java.time.Instant;
import java.time.ZoneId;
import java.time.temporal.TemporalAccessor;
import java.time.temporal.TemporalAmount;
import java.util.Base64;
import java.util.Calendar;
import java.util.Currency;
import java.util.Date;
import java.util.Iterator;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.UUID;
import java.util.stream.BaseStream;

/**
 * Writes what is more than a plain value: enums by name, dates and times as ISO 8601 text, bytes as Base64, what is a text
 * by nature (UUID, URI, Path, …) as such, other arrays as arrays, and any class of the user's as an object of its
 * properties. Other classes of the JDK have no JSON.
 */
final class JsonBeans {
    private JsonBeans() {}

    static void write(StringBuilder out, Object value, int depth) {
        String text = asText(value);
        if (text != null) Json.writeString(out, text);
        else if (value instanceof Optional) Json.write(out, ((Optional<?>) value).orElse(null), depth);
        else if (value instanceof OptionalInt) Json.write(out, boxed((OptionalInt) value), depth);
        else if (value instanceof OptionalLong) Json.write(out, boxed((OptionalLong) value), depth);
        else if (value instanceof OptionalDouble) Json.write(out, boxed((OptionalDouble) value), depth);
        else if (value instanceof BaseStream) writeItems(out, ((BaseStream<?, ?>) value).iterator(), depth);
        else if (value instanceof Iterator) writeItems(out, (Iterator<?>) value, depth);
        else if (value.getClass().isArray()) writeArray(out, value, depth);
        else writeBean(out, value, depth);
    }

    /** The name that a key of a map has in JSON. */
    static String keyText(Object key) {
        if (key instanceof CharSequence || key instanceof Number || key instanceof Boolean || key instanceof Character) {
            return key.toString();
        }
        String text = key == null ? null : asText(key);
        if (text == null) {
            throw new JsonException("a key of type " + (key == null ? "null" : key.getClass().getName()) + " is no text");
        }
        return text;
    }

    /** Whether the class is the user's, and not one of the JDK's, whose insides are nobody's business. */
    static boolean isOfUser(Class<?> type) {
        return !type.getModule().isNamed();
    }

    private static String asText(Object value) {
        if (value instanceof Enum) return ((Enum<?>) value).name();
        if (value instanceof Date) return Instant.ofEpochMilli(((Date) value).getTime()).toString();
        if (value instanceof Calendar) return ((Calendar) value).toInstant().toString();
        if (value instanceof byte[]) return Base64.getEncoder().encodeToString((byte[]) value);
        if (value instanceof char[]) return new String((char[]) value);
        if (value instanceof Locale) return ((Locale) value).toLanguageTag();
        if (value instanceof Class) return ((Class<?>) value).getName();
        boolean isText =
            value instanceof TemporalAccessor
                || value instanceof TemporalAmount
                || value instanceof ZoneId
                || value instanceof UUID
                || value instanceof URI
                || value instanceof URL
                || value instanceof Path
                || value instanceof java.io.File
                || value instanceof Currency;
        return isText ? value.toString() : null;
    }

    private static Object boxed(OptionalInt value) {
        return value.isPresent() ? value.getAsInt() : null;
    }

    private static Object boxed(OptionalLong value) {
        return value.isPresent() ? value.getAsLong() : null;
    }

    private static Object boxed(OptionalDouble value) {
        return value.isPresent() ? value.getAsDouble() : null;
    }

    private static void writeItems(StringBuilder out, Iterator<?> items, int depth) {
        out.append('[');
        for (boolean isFirst = true; items.hasNext(); isFirst = false) {
            if (!isFirst) out.append(',');
            Json.write(out, items.next(), depth + 1);
        }
        out.append(']');
    }

    private static void writeArray(StringBuilder out, Object array, int depth) {
        int length = Array.getLength(array);
        out.append('[');
        for (int i = 0; i < length; i++) {
            if (i > 0) out.append(',');
            Json.write(out, Array.get(array, i), depth + 1);
        }
        out.append(']');
    }

    private static void writeBean(StringBuilder out, Object bean, int depth) {
        Class<?> type = bean.getClass();
        if (!isOfUser(type)) throw new JsonException("a value of type " + type.getName() + " has no JSON");
        char separator = '{';
        for (Map.Entry<String, Member> property : JsonBean.of(type).readable.entrySet()) {
            out.append(separator);
            separator = ',';
            Json.writeString(out, property.getKey());
            out.append(':');
            try {
                Json.write(out, JsonBean.get(property.getValue(), bean), depth + 1);
            } catch (JsonException error) {
                // Of a value that contains itself the innermost steps would say nothing.
                throw depth < 8 ? error.inside("." + property.getKey()) : error;
            }
        }
        out.append(separator == '{' ? "{}" : "}");
    }
}
