package thaw.shim;

import java.io.IOException;
import java.io.InputStream;
import java.net.URLDecoder;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** The parameters of a request: those of its query, then those of a form that was posted. */
final class HttpParameters {
    /** Names and values of a form are held in memory, as all of an event is. */
    private static final int FORM_BYTES_MAX = 2 * 1024 * 1024;

    private HttpParameters() {}

    static Map<String, String[]> of(String query, InputStream form, Charset charset) {
        Map<String, String[]> parameters = new LinkedHashMap<>();
        if (query != null) parse(query, StandardCharsets.UTF_8, parameters);
        if (form != null) parse(read(form), charset, parameters);
        return parameters;
    }

    private static String read(InputStream form) {
        try {
            byte[] bytes = form.readNBytes(FORM_BYTES_MAX + 1);
            if (bytes.length > FORM_BYTES_MAX) throw new IllegalStateException("a form of more than " + FORM_BYTES_MAX + " bytes");
            return new String(bytes, StandardCharsets.ISO_8859_1);
        } catch (IOException error) {
            throw new IllegalStateException("the form could not be read", error);
        }
    }

    private static void parse(String text, Charset charset, Map<String, String[]> parameters) {
        for (String pair : text.split("&")) {
            if (pair.isEmpty()) continue;
            int equals = pair.indexOf('=');
            String name = decode(equals < 0 ? pair : pair.substring(0, equals), charset);
            String value = equals < 0 ? "" : decode(pair.substring(equals + 1), charset);
            String[] known = parameters.get(name);
            String[] values = known == null ? new String[1] : java.util.Arrays.copyOf(known, known.length + 1);
            values[values.length - 1] = value;
            parameters.put(name, values);
        }
    }

    private static String decode(String text, Charset charset) {
        try {
            return URLDecoder.decode(text, charset);
        } catch (IllegalArgumentException error) {
            // A percent sign that stands for itself.
            return text;
        }
    }
}
