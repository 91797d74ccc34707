package thaw.shim;

import java.time.DateTimeException;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;

/** Names and values in their order and case, found in any case. */
final class HttpHeaders {
    final List<String> names = new ArrayList<>();
    final List<String> values = new ArrayList<>();

    void add(String name, String value) {
        names.add(name);
        values.add(value);
    }

    /** Replaces all of that name where the first of them stands. */
    void set(String name, String value) {
        int first = indexOf(name, 0);
        if (first < 0) {
            add(name, value);
            return;
        }
        values.set(first, value);
        for (int i = indexOf(name, first + 1); i >= 0; i = indexOf(name, first + 1)) {
            names.remove(i);
            values.remove(i);
        }
    }

    void remove(String name) {
        for (int i = indexOf(name, 0); i >= 0; i = indexOf(name, 0)) {
            names.remove(i);
            values.remove(i);
        }
    }

    void clear() {
        names.clear();
        values.clear();
    }

    /** The first value, or null. */
    String get(String name) {
        int index = indexOf(name, 0);
        return index < 0 ? null : values.get(index);
    }

    List<String> all(String name) {
        List<String> found = new ArrayList<>();
        for (int i = indexOf(name, 0); i >= 0; i = indexOf(name, i + 1)) found.add(values.get(i));
        return found;
    }

    /** Each name once, as it was first written. */
    List<String> distinctNames() {
        List<String> found = new ArrayList<>();
        for (int i = 0; i < names.size(); i++) if (indexOf(names.get(i), 0) == i) found.add(names.get(i));
        return found;
    }

    /** Names and values in turn, as the link has them. */
    List<Object> flat() {
        List<Object> flat = new ArrayList<>(2 * names.size());
        for (int i = 0; i < names.size(); i++) {
            flat.add(names.get(i));
            flat.add(values.get(i));
        }
        return flat;
    }

    private int indexOf(String name, int from) {
        for (int i = from; i < names.size(); i++) if (names.get(i).equalsIgnoreCase(name)) return i;
        return -1;
    }

    static String date(long millis) {
        return DateTimeFormatter.RFC_1123_DATE_TIME.format(Instant.ofEpochMilli(millis).atOffset(ZoneOffset.UTC));
    }

    static long millis(String date) {
        try {
            return ZonedDateTime.parse(date, DateTimeFormatter.RFC_1123_DATE_TIME).toInstant().toEpochMilli();
        } catch (DateTimeException error) {
            throw new IllegalArgumentException("'" + date + "' is no date", error);
        }
    }

    /** The charset that a Content-Type names, or null. */
    static String charset(String contentType) {
        if (contentType == null) return null;
        for (String part : contentType.split(";")) {
            String parameter = part.trim();
            if (!parameter.regionMatches(true, 0, "charset=", 0, 8)) continue;
            String charset = parameter.substring(8).replace("\"", "").trim();
            return charset.isEmpty() ? null : charset;
        }
        return null;
    }
}
