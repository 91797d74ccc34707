package thaw.shim;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.net.URI;
import java.nio.file.Path;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.util.Base64;
import java.util.Currency;
import java.util.Date;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;

/**
 * Types that are one text, number or boolean in JSON. Numbers and booleans may also come as text and the other way round,
 * but never in a way that loses something: 1.5 is no int, 300 no byte.
 */
final class JsonScalars {
    private static final Map<Class<?>, Class<?>> BOXES =
        Map.of(
            boolean.class, Boolean.class,
            char.class, Character.class,
            byte.class, Byte.class,
            short.class, Short.class,
            int.class, Integer.class,
            long.class, Long.class,
            float.class, Float.class,
            double.class, Double.class);

    private JsonScalars() {}

    static boolean isScalar(Class<?> type) {
        return type.isPrimitive()
            || type == Boolean.class
            || type == Character.class
            || Number.class.isAssignableFrom(type)
            || type == String.class
            || type == CharSequence.class
            || type.isEnum()
            || type == byte[].class
            || type == Date.class
            || type == UUID.class
            || type == URI.class
            || type == Path.class
            || type == java.io.File.class
            || type == Locale.class
            || type == Currency.class
            || type.getPackageName().equals("java.time");
    }

    static Object zero(Class<?> primitive) {
        return primitive == boolean.class ? Boolean.FALSE : primitive == char.class ? '\0' : read(0, primitive);
    }

    static Object read(Object value, Class<?> wanted) {
        Class<?> type = BOXES.getOrDefault(wanted, wanted);
        if (value instanceof Map || value instanceof List) throw mismatch(value, wanted);
        try {
            Object found = convert(value, type);
            if (found != null) return found;
        } catch (ArithmeticException | IllegalArgumentException | DateTimeException error) {
            throw new JsonException("'" + cut(value) + "' is no " + wanted.getSimpleName(), error);
        }
        throw mismatch(value, wanted);
    }

    static JsonException mismatch(Object value, Class<?> wanted) {
        String kind =
            value instanceof Map ? "an object"
                : value instanceof List ? "an array"
                : value instanceof String ? "a text"
                : value instanceof Boolean ? "a boolean"
                : "a number";
        return new JsonException(kind + " stands where a " + wanted.getName() + " is wanted");
    }

    /** Null where the one cannot become the other. */
    private static Object convert(Object value, Class<?> type) {
        String text = value.toString();
        if (type == String.class || type == CharSequence.class) return text;
        if (type == Boolean.class) return text.equals("true") ? Boolean.TRUE : text.equals("false") ? Boolean.FALSE : null;
        if (Number.class.isAssignableFrom(type)) return value instanceof Boolean ? null : number(value, type);
        if (type == Date.class) return value instanceof Number ? new Date(((Number) value).longValue()) : date(text);
        if (type == Instant.class && value instanceof Number) return Instant.ofEpochMilli(((Number) value).longValue());
        return value instanceof String ? fromText(text, type) : null;
    }

    private static Object number(Object value, Class<?> type) {
        if (type == Number.class) return value instanceof Number ? value : new BigDecimal((String) value);
        if (type == Double.class) return value instanceof Number ? ((Number) value).doubleValue() : finite((String) value);
        if (type == Float.class) return value instanceof Number ? ((Number) value).floatValue() : (float) finite((String) value);
        if (type == Integer.class && value instanceof Integer) return value;
        if (type == Long.class && value instanceof Integer) return ((Integer) value).longValue();
        BigDecimal exact = new BigDecimal(value.toString());
        if (type == BigDecimal.class) return exact;
        if (type == Byte.class) return exact.byteValueExact();
        if (type == Short.class) return exact.shortValueExact();
        if (type == Integer.class) return exact.intValueExact();
        if (type == Long.class) return exact.longValueExact();
        // A million digits out of seven characters: 1e999999.
        if (type == BigInteger.class) return exact.scale() < -1000 ? null : exact.toBigIntegerExact();
        if (type == java.util.concurrent.atomic.AtomicInteger.class) {
            return new java.util.concurrent.atomic.AtomicInteger(exact.intValueExact());
        }
        if (type == java.util.concurrent.atomic.AtomicLong.class) {
            return new java.util.concurrent.atomic.AtomicLong(exact.longValueExact());
        }
        return null;
    }

    private static double finite(String text) {
        double number = Double.parseDouble(text);
        if (!Double.isFinite(number)) throw new NumberFormatException(text);
        return number;
    }

    private static Object fromText(String text, Class<?> type) {
        if (type.isEnum()) return constant(text, type);
        if (type == Character.class) return text.length() == 1 ? text.charAt(0) : null;
        if (type == byte[].class) return Base64.getDecoder().decode(text);
        if (type == UUID.class) return UUID.fromString(text);
        if (type == URI.class) return URI.create(text);
        if (type == Path.class) return Path.of(text);
        if (type == java.io.File.class) return new java.io.File(text);
        if (type == Locale.class) return Locale.forLanguageTag(text);
        if (type == Currency.class) return Currency.getInstance(text);
        if (type.getPackageName().equals("java.time")) return time(text, type);
        return null;
    }

    private static Object constant(String name, Class<?> type) {
        for (Object constant : type.getEnumConstants()) if (((Enum<?>) constant).name().equals(name)) return constant;
        return null;
    }

    private static Date date(String text) {
        if (text.indexOf('T') < 0) return new Date(LocalDate.parse(text).toEpochDay() * 86_400_000);
        return Date.from(OffsetDateTime.parse(text).toInstant());
    }

    /** The types of java.time read their own text by a method {@code parse}; zones and offsets by {@code of}. */
    private static Object time(String text, Class<?> type) {
        for (String name : new String[] {"parse", "of"}) {
            try {
                Class<?> parameter = name.equals("parse") ? CharSequence.class : String.class;
                Method method = type.getMethod(name, parameter);
                return method.invoke(null, text);
            } catch (NoSuchMethodException | IllegalAccessException error) {
                continue;
            } catch (InvocationTargetException error) {
                if (error.getCause() instanceof DateTimeException) throw (DateTimeException) error.getCause();
                throw new JsonException("'" + cut(text) + "' is no " + type.getSimpleName(), error.getCause());
            }
        }
        return null;
    }

    private static String cut(Object value) {
        String text = value.toString();
        return text.length() <= 80 ? text : text.substring(0, 80) + "…";
    }
}
