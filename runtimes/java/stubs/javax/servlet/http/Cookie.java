package javax.servlet.http;

public class Cookie {
    public Cookie(String name, String value) {}

    public native String getName();

    public native String getValue();

    public native String getPath();

    public native String getDomain();

    public native int getMaxAge();

    public native boolean getSecure();

    public native boolean isHttpOnly();
}
