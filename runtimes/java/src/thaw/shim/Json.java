package thaw.shim;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * JSON (RFC 8259) to and from plain values: LinkedHashMap, ArrayList, String, Boolean, null and numbers. A whole number is
 * an Integer, a Long or a BigInteger, whichever is the first that holds it; any other a Double, or a BigDecimal where a
 * Double would lose digits. What is not plain when writing goes through {@link JsonBeans}.
 */
final class Json {
    /** Values inside values; deeper ones, and values that contain themselves, are refused. */
    static final int DEPTH_MAX = 512;
    /** Decimal digits that every Double keeps. */
    private static final int EXACT_DIGITS = 15;
    private static final int INTEGER_DIGITS_MAX = 1000;

    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    static Object parse(String text) {
        Json json = new Json(text);
        json.skipSpace();
        Object value = json.value(0);
        json.skipSpace();
        if (json.at < text.length()) throw json.unexpected();
        return value;
    }

    /** @throws JsonException when it is JSON but no object, too */
    @SuppressWarnings("unchecked")
    static Map<String, Object> parseObject(String text) {
        Object value = parse(text);
        if (value instanceof Map) return (Map<String, Object>) value;
        throw new JsonException("this is no object");
    }

    static String write(Object value) {
        StringBuilder out = new StringBuilder();
        write(out, value, 0);
        return out.toString();
    }

    // Reading.

    private Object value(int depth) {
        if (depth > DEPTH_MAX) throw new JsonException("more than " + DEPTH_MAX + " values inside each other");
        if (at >= text.length()) throw new JsonException("the text ends too early");
        char c = text.charAt(at);
        switch (c) {
            case '{':
                return object(depth);
            case '[':
                return array(depth);
            case '"':
                return string();
            case 't':
                return word("true", Boolean.TRUE);
            case 'f':
                return word("false", Boolean.FALSE);
            case 'n':
                return word("null", null);
            default:
                if (c == '-' || (c >= '0' && c <= '9')) return number();
                throw unexpected();
        }
    }

    private Map<String, Object> object(int depth) {
        Map<String, Object> object = new LinkedHashMap<>();
        at++;
        skipSpace();
        if (take('}')) return object;
        while (true) {
            if (at >= text.length() || text.charAt(at) != '"') throw unexpected();
            String name = string();
            skipSpace();
            expect(':');
            skipSpace();
            object.put(name, value(depth + 1));
            skipSpace();
            if (take('}')) return object;
            expect(',');
            skipSpace();
        }
    }

    private List<Object> array(int depth) {
        List<Object> array = new ArrayList<>();
        at++;
        skipSpace();
        if (take(']')) return array;
        while (true) {
            array.add(value(depth + 1));
            skipSpace();
            if (take(']')) return array;
            expect(',');
            skipSpace();
        }
    }

    private String string() {
        int start = ++at;
        StringBuilder unescaped = null;
        while (at < text.length()) {
            char c = text.charAt(at);
            if (c == '"') {
                String rest = text.substring(start, at++);
                return unescaped == null ? rest : unescaped.append(rest).toString();
            }
            if (c < ' ') throw unexpected();
            if (c == '\\') {
                if (unescaped == null) unescaped = new StringBuilder();
                unescaped.append(text, start, at).append(escaped());
                start = at;
            } else {
                at++;
            }
        }
        throw new JsonException("the text ends inside a string");
    }

    private char escaped() {
        at += 2;
        if (at > text.length()) throw new JsonException("the text ends inside a string");
        char c = text.charAt(at - 1);
        switch (c) {
            case '"':
            case '\\':
            case '/':
                return c;
            case 'b':
                return '\b';
            case 'f':
                return '\f';
            case 'n':
                return '\n';
            case 'r':
                return '\r';
            case 't':
                return '\t';
            case 'u':
                return hex();
            default:
                at--;
                throw unexpected();
        }
    }

    private char hex() {
        int code = 0;
        for (int end = at + 4; at < end; at++) {
            int digit = at < text.length() && text.charAt(at) < 0x80 ? Character.digit(text.charAt(at), 16) : -1;
            if (digit < 0) throw unexpected();
            code = code << 4 | digit;
        }
        return (char) code;
    }

    private Object number() {
        int start = at;
        take('-');
        int digits = at;
        if (!take('0')) digits();
        int wholeDigits = at - digits;
        boolean isWhole = true;
        if (take('.')) {
            isWhole = false;
            digits();
        }
        if (at < text.length() && (text.charAt(at) | 0x20) == 'e') {
            isWhole = false;
            at++;
            if (!take('+')) take('-');
            digits();
        }
        String number = text.substring(start, at);
        return isWhole ? whole(number, wholeDigits) : fraction(number);
    }

    private static Object whole(String number, int digits) {
        if (digits > INTEGER_DIGITS_MAX) throw new JsonException("a number of " + digits + " digits");
        if (digits > 18) {
            BigInteger big = new BigInteger(number);
            return big.bitLength() < Long.SIZE ? (Object) big.longValue() : big;
        }
        long value = Long.parseLong(number);
        return value == (int) value ? (Object) (int) value : (Object) value;
    }

    private static Object fraction(String number) {
        double value = Double.parseDouble(number);
        if (number.length() <= EXACT_DIGITS && !Double.isInfinite(value)) return value;
        try {
            BigDecimal exact = new BigDecimal(number);
            return exact.precision() <= EXACT_DIGITS && !Double.isInfinite(value) ? (Object) value : exact;
        } catch (NumberFormatException error) {
            throw new JsonException("the number " + number.substring(0, Math.min(40, number.length())) + " is out of range");
        }
    }

    private void digits() {
        int start = at;
        while (at < text.length() && text.charAt(at) >= '0' && text.charAt(at) <= '9') at++;
        if (at == start) throw unexpected();
    }

    private Object word(String word, Object value) {
        if (!text.startsWith(word, at)) throw unexpected();
        at += word.length();
        return value;
    }

    private void skipSpace() {
        while (at < text.length()) {
            char c = text.charAt(at);
            if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
            at++;
        }
    }

    private boolean take(char wanted) {
        if (at >= text.length() || text.charAt(at) != wanted) return false;
        at++;
        return true;
    }

    private void expect(char wanted) {
        if (!take(wanted)) throw unexpected();
    }

    private JsonException unexpected() {
        if (at >= text.length()) return new JsonException("the text ends too early");
        return new JsonException("unexpected character '" + text.charAt(at) + "' at offset " + at);
    }

    // Writing.

    static void write(StringBuilder out, Object value, int depth) {
        if (depth > DEPTH_MAX) {
            throw new JsonException("more than " + DEPTH_MAX + " values inside each other; does one contain itself?");
        }
        if (value == null || value instanceof Boolean) {
            out.append(value);
        } else if (value instanceof CharSequence || value instanceof Character) {
            writeString(out, value.toString());
        } else if (value instanceof Number) {
            writeNumber(out, (Number) value);
        } else if (value instanceof Map) {
            writeObject(out, (Map<?, ?>) value, depth);
        } else if (value instanceof Iterable && !(value instanceof java.nio.file.Path)) {
            writeArray(out, (Iterable<?>) value, depth);
        } else {
            JsonBeans.write(out, value, depth);
        }
    }

    private static void writeNumber(StringBuilder out, Number number) {
        double value = number.doubleValue();
        if ((number instanceof Double || number instanceof Float) && !Double.isFinite(value)) {
            throw new JsonException("JSON has no " + number);
        }
        out.append(number);
    }

    private static void writeObject(StringBuilder out, Map<?, ?> map, int depth) {
        char separator = '{';
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            out.append(separator);
            separator = ',';
            writeString(out, JsonBeans.keyText(entry.getKey()));
            out.append(':');
            write(out, entry.getValue(), depth + 1);
        }
        out.append(separator == '{' ? "{}" : "}");
    }

    private static void writeArray(StringBuilder out, Iterable<?> items, int depth) {
        char separator = '[';
        for (Object item : items) {
            out.append(separator);
            separator = ',';
            write(out, item, depth + 1);
        }
        out.append(separator == '[' ? "[]" : "]");
    }

    static void writeString(StringBuilder out, String text) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ') {
                writeControl(out, c);
            } else if (Character.isSurrogate(c)) {
                // Half a pair has no UTF-8.
                if (Character.isHighSurrogate(c) && i + 1 < text.length() && Character.isLowSurrogate(text.charAt(i + 1))) {
                    out.append(c).append(text.charAt(++i));
                } else {
                    out.append("\\u").append(Integer.toHexString(c));
                }
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }

    private static void writeControl(StringBuilder out, char c) {
        int index = "\b\f\n\r\t".indexOf(c);
        if (index >= 0) out.append('\\').append("bfnrt".charAt(index));
        else out.append(c < 0x10 ? "\\u000" : "\\u00").append(Integer.toHexString(c));
    }
}
