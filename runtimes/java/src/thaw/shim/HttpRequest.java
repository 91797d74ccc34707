package thaw.shim;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UnsupportedEncodingException;
import java.net.URLDecoder;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.security.Principal;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Enumeration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import javax.servlet.AsyncContext;
import javax.servlet.DispatcherType;
import javax.servlet.RequestDispatcher;
import javax.servlet.ServletContext;
import javax.servlet.ServletInputStream;
import javax.servlet.ServletRequest;
import javax.servlet.ServletResponse;
import javax.servlet.http.Cookie;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import javax.servlet.http.HttpSession;
import javax.servlet.http.HttpUpgradeHandler;
import javax.servlet.http.Part;

/**
 * A request as servlets see it (Servlet 3.1). The public prefix of the function is the context path, the rest the path
 * info. There is no servlet container behind it: sessions, parts, dispatchers and asynchronous answers do not exist and
 * say so. Compiled against names alone, see {@link FcContext}.
 */
final class HttpRequest implements HttpServletRequest {
    private final Exchange exchange;
    private final Map<String, Object> head;
    private final HttpHeaders headers = new HttpHeaders();
    private final Map<String, Object> attributes = new LinkedHashMap<>();
    private final String base;
    private final String rawPath;
    private final String query;
    private ServletInputStream body;
    private BufferedReader reader;
    private Map<String, String[]> parameters;
    private String encoding;

    HttpRequest(Exchange exchange, Map<String, Object> head) {
        this.exchange = exchange;
        this.head = head;
        Object flat = head.get("headers");
        if (flat instanceof List) {
            List<?> list = (List<?>) flat;
            for (int i = 0; i + 1 < list.size(); i += 2) headers.add((String) list.get(i), (String) list.get(i + 1));
        }
        String url = text("url");
        int mark = url.indexOf('?');
        base = text("base");
        rawPath = mark < 0 ? url : url.substring(0, mark);
        query = mark < 0 ? null : url.substring(mark + 1);
        encoding = HttpHeaders.charset(getContentType());
        // Function Compute's own way to tell these.
        attributes.put("FC_REQUEST_PATH", decode(rawPath));
        attributes.put("FC_REQUEST_URI", base + url);
        attributes.put("FC_REQUEST_CLIENT_IP", getRemoteAddr());
        attributes.put("FC_REQUEST_ID", exchange.requestId);
    }

    // The line and where it came from.

    public String getMethod() {
        return head.get("method") instanceof String ? (String) head.get("method") : "GET";
    }

    public String getRequestURI() {
        return base + rawPath;
    }

    public StringBuffer getRequestURL() {
        StringBuffer url = new StringBuffer(getScheme()).append("://").append(getServerName());
        int port = getServerPort();
        if (port != (isSecure() ? 443 : 80)) url.append(':').append(port);
        return url.append(getRequestURI());
    }

    public String getQueryString() {
        return query;
    }

    public String getContextPath() {
        return base;
    }

    public String getServletPath() {
        return "";
    }

    public String getPathInfo() {
        return decode(rawPath);
    }

    public String getPathTranslated() {
        return null;
    }

    public String getProtocol() {
        return "HTTP/1.1";
    }

    public String getScheme() {
        return text("scheme").isEmpty() ? "http" : text("scheme");
    }

    public boolean isSecure() {
        return getScheme().equals("https");
    }

    public String getServerName() {
        String host = host();
        int colon = portColon(host);
        return host.isEmpty() ? "localhost" : colon < 0 ? host : host.substring(0, colon);
    }

    public int getServerPort() {
        String host = host();
        int colon = portColon(host);
        try {
            if (colon >= 0) return Integer.parseInt(host.substring(colon + 1));
        } catch (NumberFormatException error) {
            // A Host header that nobody can read: what it should say is unknown.
        }
        return isSecure() ? 443 : 80;
    }

    public String getRemoteAddr() {
        return text("remote");
    }

    public String getRemoteHost() {
        return getRemoteAddr();
    }

    public int getRemotePort() {
        return 0;
    }

    public String getLocalName() {
        return getServerName();
    }

    public String getLocalAddr() {
        return "127.0.0.1";
    }

    public int getLocalPort() {
        return getServerPort();
    }

    // Headers.

    public String getHeader(String name) {
        return headers.get(name);
    }

    public Enumeration<String> getHeaders(String name) {
        return Collections.enumeration(headers.all(name));
    }

    public Enumeration<String> getHeaderNames() {
        return Collections.enumeration(headers.distinctNames());
    }

    public int getIntHeader(String name) {
        String value = headers.get(name);
        return value == null ? -1 : Integer.parseInt(value.trim());
    }

    public long getDateHeader(String name) {
        String value = headers.get(name);
        return value == null ? -1 : HttpHeaders.millis(value);
    }

    public Cookie[] getCookies() {
        List<Cookie> cookies = new ArrayList<>();
        for (String header : headers.all("Cookie")) {
            for (String pair : header.split(";")) {
                int equals = pair.indexOf('=');
                if (equals < 1) continue;
                String value = pair.substring(equals + 1).trim();
                boolean isQuoted = value.length() > 1 && value.startsWith("\"") && value.endsWith("\"");
                try {
                    cookies.add(
                        new Cookie(pair.substring(0, equals).trim(), isQuoted ? value.substring(1, value.length() - 1) : value));
                } catch (IllegalArgumentException error) {
                    // A name that the servlet's own class does not allow; browsers send what they like.
                    continue;
                }
            }
        }
        return cookies.isEmpty() ? null : cookies.toArray(new Cookie[0]);
    }

    public Locale getLocale() {
        return getLocales().nextElement();
    }

    public Enumeration<Locale> getLocales() {
        List<Locale> locales = new ArrayList<>();
        String accepted = headers.get("Accept-Language");
        try {
            if (accepted != null) {
                for (Locale.LanguageRange range : Locale.LanguageRange.parse(accepted)) {
                    if (!range.getRange().equals("*")) locales.add(Locale.forLanguageTag(range.getRange()));
                }
            }
        } catch (IllegalArgumentException error) {
            locales.clear();
        }
        if (locales.isEmpty()) locales.add(Locale.getDefault());
        return Collections.enumeration(locales);
    }

    // The body.

    public String getContentType() {
        return headers.get("Content-Type");
    }

    public int getContentLength() {
        long length = getContentLengthLong();
        return length > Integer.MAX_VALUE ? -1 : (int) length;
    }

    public long getContentLengthLong() {
        String value = headers.get("Content-Length");
        try {
            return value == null ? -1 : Long.parseLong(value.trim());
        } catch (NumberFormatException error) {
            return -1;
        }
    }

    public String getCharacterEncoding() {
        return encoding;
    }

    public void setCharacterEncoding(String name) throws UnsupportedEncodingException {
        try {
            Charset.forName(name);
        } catch (IllegalArgumentException error) {
            throw new UnsupportedEncodingException(name);
        }
        encoding = name;
    }

    public ServletInputStream getInputStream() {
        if (reader != null) throw new IllegalStateException("the body is being read by its reader");
        return body();
    }

    public BufferedReader getReader() throws UnsupportedEncodingException {
        if (reader == null) {
            if (body != null) throw new IllegalStateException("the body is being read as a stream");
            reader = new BufferedReader(new InputStreamReader(body(), encoding == null ? "UTF-8" : encoding));
        }
        return reader;
    }

    // Parameters.

    public String getParameter(String name) {
        String[] values = parameters().get(name);
        return values == null ? null : values[0];
    }

    public Enumeration<String> getParameterNames() {
        return Collections.enumeration(parameters().keySet());
    }

    public String[] getParameterValues(String name) {
        String[] values = parameters().get(name);
        return values == null ? null : values.clone();
    }

    public Map<String, String[]> getParameterMap() {
        return Collections.unmodifiableMap(parameters());
    }

    // Attributes.

    public Object getAttribute(String name) {
        return attributes.get(name);
    }

    public Enumeration<String> getAttributeNames() {
        return Collections.enumeration(new ArrayList<>(attributes.keySet()));
    }

    public void setAttribute(String name, Object value) {
        if (value == null) attributes.remove(name);
        else attributes.put(name, value);
    }

    public void removeAttribute(String name) {
        attributes.remove(name);
    }

    // What only a servlet container has.

    public String getAuthType() {
        return null;
    }

    public String getRemoteUser() {
        return null;
    }

    public boolean isUserInRole(String role) {
        return false;
    }

    public Principal getUserPrincipal() {
        return null;
    }

    public boolean authenticate(HttpServletResponse response) {
        throw lacks("users");
    }

    public void login(String user, String password) {
        throw lacks("users");
    }

    public void logout() {
        // Nobody was logged in.
    }

    public HttpSession getSession(boolean create) {
        if (create) throw lacks("sessions");
        return null;
    }

    public HttpSession getSession() {
        return getSession(true);
    }

    public String getRequestedSessionId() {
        return null;
    }

    public String changeSessionId() {
        throw new IllegalStateException("there is no session");
    }

    public boolean isRequestedSessionIdValid() {
        return false;
    }

    public boolean isRequestedSessionIdFromCookie() {
        return false;
    }

    public boolean isRequestedSessionIdFromURL() {
        return false;
    }

    public boolean isRequestedSessionIdFromUrl() {
        return false;
    }

    public Collection<Part> getParts() {
        throw lacks("parts");
    }

    public Part getPart(String name) {
        throw lacks("parts");
    }

    public <T extends HttpUpgradeHandler> T upgrade(Class<T> handler) {
        throw lacks("upgrades");
    }

    public RequestDispatcher getRequestDispatcher(String path) {
        return null;
    }

    public String getRealPath(String path) {
        return null;
    }

    public ServletContext getServletContext() {
        throw lacks("a servlet context");
    }

    public AsyncContext startAsync() {
        throw new IllegalStateException("a function answers before it returns");
    }

    public AsyncContext startAsync(ServletRequest request, ServletResponse response) {
        return startAsync();
    }

    public boolean isAsyncStarted() {
        return false;
    }

    public boolean isAsyncSupported() {
        return false;
    }

    public AsyncContext getAsyncContext() {
        throw new IllegalStateException("the request is not asynchronous");
    }

    public DispatcherType getDispatcherType() {
        return DispatcherType.REQUEST;
    }

    private static UnsupportedOperationException lacks(String what) {
        return new UnsupportedOperationException("functions have no servlet container: there are no " + what);
    }

    private ServletInputStream body() {
        if (body == null) body = new HttpBody(exchange);
        return body;
    }

    private Map<String, String[]> parameters() {
        if (parameters == null) {
            String type = getContentType();
            boolean isForm =
                type != null
                    && type.trim().toLowerCase(Locale.ROOT).startsWith("application/x-www-form-urlencoded")
                    && body == null;
            Charset charset = encoding == null ? StandardCharsets.UTF_8 : Charset.forName(encoding);
            parameters = HttpParameters.of(query, isForm ? body() : null, charset);
        }
        return parameters;
    }

    private String host() {
        String host = headers.get("Host");
        return host == null ? "" : host.trim();
    }

    /** Of {@code [::1]:80} only the last colon stands before a port. */
    private static int portColon(String host) {
        int colon = host.lastIndexOf(':');
        return colon > host.lastIndexOf(']') ? colon : -1;
    }

    private String text(String key) {
        return Contexts.asText(head.get(key));
    }

    private static String decode(String path) {
        if (path.indexOf('%') < 0) return path;
        try {
            // In a path a plus is a plus.
            return URLDecoder.decode(path.replace("+", "%2B"), StandardCharsets.UTF_8);
        } catch (IllegalArgumentException error) {
            return path;
        }
    }
}
