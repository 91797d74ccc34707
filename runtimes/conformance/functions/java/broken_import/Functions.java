package broken_import;

/** Needs a class that is there when this is compiled and missing when it runs. */
public class Functions {
    private final Object needed = new thaw_no_such_package.Needed();

    public String handler(String event) {
        return needed.toString();
    }
}
