package thaw.shim;

import java.io.IOException;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.io.UnsupportedEncodingException;
import java.nio.charset.StandardCharsets;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import javax.servlet.ServletOutputStream;
import javax.servlet.http.Cookie;
import javax.servlet.http.HttpServletResponse;

/**
 * The response as servlets see it (Servlet 3.1). What fits the buffer goes out with its length when the handler returns;
 * a flush, or more than the buffer, starts a stream. Text is UTF-8 where the handler says nothing else, and the
 * Content-Type says so. Compiled against names alone, see {@link FcContext}.
 */
final class HttpResponse implements HttpServletResponse {
    private static final int BUFFER_BYTES = 8192;

    private final HttpHeaders headers = new HttpHeaders();
    private final Body body;
    private final boolean isHead;
    private int status = 200;
    private String encoding;
    private Locale locale = Locale.getDefault();
    private ServletOutputStream stream;
    private PrintWriter writer;
    /** After the handler, and after sendError and sendRedirect: the answer is complete, and nothing more goes in. */
    private boolean isComplete;
    /** While text becomes bytes only: a flush is not meant for the caller. */
    private boolean isHeld;

    HttpResponse(Exchange exchange, String method) {
        this.body = new Body(exchange);
        this.isHead = method.equals("HEAD");
    }

    /** The answer on its way to the link. */
    private final class Body extends AnswerOutput {
        Body(Exchange exchange) {
            super(exchange, BUFFER_BYTES);
        }

        @Override
        byte[] head() {
            if (isComplete && mayHaveLength()) headers.add("Content-Length", Integer.toString(size()));
            String contentType = getContentType();
            if (contentType != null) headers.set("Content-Type", contentType);
            Map<String, Object> head = new LinkedHashMap<>();
            head.put("status", status);
            head.put("headers", headers.flat());
            return Json.write(head).getBytes(StandardCharsets.UTF_8);
        }

        @Override
        boolean hasBody() {
            return !isHead && isBodyStatus();
        }

        @Override
        public void flush() throws IOException {
            if (!isComplete && !isHeld) send(false);
        }
    }

    /** What handlers write to. To close it is not to end the answer: that ends with the handler, as its slot does. */
    private final class Gate extends OutputStream {
        @Override
        public void write(int value) throws IOException {
            if (!isComplete) body.write(value);
        }

        @Override
        public void write(byte[] data, int offset, int length) throws IOException {
            if (!isComplete) body.write(data, offset, length);
        }

        @Override
        public void flush() throws IOException {
            body.flush();
        }
    }

    /** A writer that hands over its text when it is closed, but does not start a stream for that. */
    private final class Writer extends PrintWriter {
        private boolean isClosing;

        Writer(String charset) throws UnsupportedEncodingException {
            super(new OutputStreamWriter(new Gate(), charset));
        }

        @Override
        public void close() {
            if (isClosing || isComplete) return;
            isClosing = true;
            handOver();
        }

        /** Encodes what is still text; the flush that comes along is not the handler's. */
        void handOver() {
            isHeld = true;
            super.flush();
            isHeld = false;
        }
    }

    /** The handler has returned. */
    void finish() throws IOException {
        if (writer != null && !isComplete) ((Writer) writer).handOver();
        isComplete = true;
        body.finish();
    }

    private boolean isBodyStatus() {
        return status >= 200 && status != 204 && status != 304;
    }

    private boolean mayHaveLength() {
        return isBodyStatus()
            && !(isHead && body.size() == 0)
            && !containsHeader("Content-Length")
            && !containsHeader("Transfer-Encoding");
    }

    // Status and headers.

    public void setStatus(int code) {
        if (!isCommitted()) status = code;
    }

    public void setStatus(int code, String message) {
        setStatus(code);
    }

    public int getStatus() {
        return status;
    }

    public void sendError(int code) throws IOException {
        sendError(code, "");
    }

    public void sendError(int code, String message) throws IOException {
        replace(code);
        if (message != null && !message.isEmpty()) {
            headers.set("Content-Type", "text/plain;charset=UTF-8");
            body.write(message.getBytes(StandardCharsets.UTF_8));
        }
        isComplete = true;
    }

    public void sendRedirect(String location) {
        replace(302);
        headers.set("Location", location);
        isComplete = true;
    }

    private void replace(int code) {
        if (isCommitted()) throw new IllegalStateException("the head of the response has been sent");
        body.reset();
        headers.remove("Content-Length");
        status = code;
    }

    public void setHeader(String name, String value) {
        if (isCommitted()) return;
        if (name.equalsIgnoreCase("Content-Type")) setContentType(value);
        else if (value == null) headers.remove(name);
        else headers.set(name, clean(value));
    }

    public void addHeader(String name, String value) {
        if (isCommitted() || value == null) return;
        if (name.equalsIgnoreCase("Content-Type")) setContentType(value);
        else headers.add(name, clean(value));
    }

    public void setIntHeader(String name, int value) {
        setHeader(name, Integer.toString(value));
    }

    public void addIntHeader(String name, int value) {
        addHeader(name, Integer.toString(value));
    }

    public void setDateHeader(String name, long millis) {
        setHeader(name, HttpHeaders.date(millis));
    }

    public void addDateHeader(String name, long millis) {
        addHeader(name, HttpHeaders.date(millis));
    }

    public boolean containsHeader(String name) {
        return headers.get(name) != null;
    }

    public String getHeader(String name) {
        return headers.get(name);
    }

    public Collection<String> getHeaders(String name) {
        return headers.all(name);
    }

    public Collection<String> getHeaderNames() {
        return headers.distinctNames();
    }

    public void addCookie(Cookie cookie) {
        StringBuilder text = new StringBuilder(cookie.getName()).append('=');
        if (cookie.getValue() != null) text.append(cookie.getValue());
        if (cookie.getPath() != null) text.append("; Path=").append(cookie.getPath());
        if (cookie.getDomain() != null) text.append("; Domain=").append(cookie.getDomain());
        if (cookie.getMaxAge() >= 0) text.append("; Max-Age=").append(cookie.getMaxAge());
        if (cookie.getSecure()) text.append("; Secure");
        if (cookie.isHttpOnly()) text.append("; HttpOnly");
        addHeader("Set-Cookie", text.toString());
    }

    public String encodeURL(String url) {
        return url;
    }

    public String encodeRedirectURL(String url) {
        return url;
    }

    public String encodeUrl(String url) {
        return url;
    }

    public String encodeRedirectUrl(String url) {
        return url;
    }

    // The body.

    /** With its charset where one was set or text was written. */
    public String getContentType() {
        String type = headers.get("Content-Type");
        boolean isText = encoding != null || writer != null;
        if (type == null || !isText || HttpHeaders.charset(type) != null) return type;
        return type + ";charset=" + getCharacterEncoding();
    }

    public void setContentType(String type) {
        if (isCommitted()) return;
        if (type == null) {
            headers.remove("Content-Type");
            return;
        }
        String charset = HttpHeaders.charset(type);
        if (charset != null && writer == null) encoding = charset;
        headers.set("Content-Type", clean(type));
    }

    public String getCharacterEncoding() {
        return encoding == null ? "UTF-8" : encoding;
    }

    public void setCharacterEncoding(String name) {
        if (isCommitted() || writer != null) return;
        encoding = name;
        String type = headers.get("Content-Type");
        if (type != null && type.indexOf(';') >= 0 && HttpHeaders.charset(type) != null) {
            headers.set("Content-Type", type.substring(0, type.indexOf(';')).trim());
        }
    }

    public ServletOutputStream getOutputStream() {
        if (writer != null) throw new IllegalStateException("the body is written as text");
        if (stream == null) stream = new HttpOutput(new Gate());
        return stream;
    }

    public PrintWriter getWriter() throws UnsupportedEncodingException {
        if (stream != null) throw new IllegalStateException("the body is written as a stream");
        if (writer == null) writer = new Writer(getCharacterEncoding());
        return writer;
    }

    public void setContentLength(int length) {
        setContentLengthLong(length);
    }

    public void setContentLengthLong(long length) {
        setHeader("Content-Length", Long.toString(length));
    }

    public int getBufferSize() {
        return body.bytesMax();
    }

    public void setBufferSize(int bytes) {
        if (isCommitted() || body.size() > 0) throw new IllegalStateException("the body has begun");
        body.setBytesMax(Math.min(Math.max(bytes, BUFFER_BYTES), Frame.DATA_BYTES_MAX));
    }

    public void flushBuffer() throws IOException {
        if (writer != null) writer.flush();
        body.flush();
    }

    public void resetBuffer() {
        if (isCommitted()) throw new IllegalStateException("the head of the response has been sent");
        body.reset();
    }

    public void reset() {
        resetBuffer();
        headers.clear();
        status = 200;
        encoding = null;
        stream = null;
        writer = null;
    }

    public boolean isCommitted() {
        return isComplete || body.isCommitted();
    }

    public Locale getLocale() {
        return locale;
    }

    public void setLocale(Locale value) {
        if (isCommitted() || value == null) return;
        locale = value;
        headers.set("Content-Language", value.toLanguageTag());
    }

    /** A line end in a value would begin another header. */
    private static String clean(String value) {
        return value.indexOf('\r') < 0 && value.indexOf('\n') < 0 ? value : value.replaceAll("[\r\n]+", " ");
    }
}
