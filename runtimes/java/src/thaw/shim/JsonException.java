package thaw.shim;

/** A text that is not JSON, JSON that does not fit a type, or a value that JSON cannot express. */
public final class JsonException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private String path = "";

    JsonException(String message) {
        super(message);
    }

    JsonException(String message, Throwable cause) {
        super(message, cause);
    }

    /** Says where inside the value it happened; called from the inside outwards. */
    JsonException inside(String step) {
        path = step + path;
        return this;
    }

    @Override
    public String getMessage() {
        return path.isEmpty() ? super.getMessage() : "at $" + path + ": " + super.getMessage();
    }
}
