package thaw.shim;

/** The daemon sent what docs/RUNTIMES.md does not allow. */
final class ProtocolError extends RuntimeException {
    private static final long serialVersionUID = 1L;

    ProtocolError(String message) {
        super(message, null, false, false);
    }
}
