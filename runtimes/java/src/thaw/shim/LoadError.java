package thaw.shim;

/** The function's configuration names something that its code does not have. */
final class LoadError extends Exception {
    private static final long serialVersionUID = 1L;

    final String errorType;

    private LoadError(String errorType, String message) {
        super(message);
        this.errorType = errorType;
    }

    static LoadError noModule(String message) {
        return new LoadError("ModuleNotFound", message);
    }

    static LoadError noHandler(String message) {
        return new LoadError("HandlerNotFound", message);
    }
}
