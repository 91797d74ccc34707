package broken_load;

/** Throws while it is loaded. */
public class Functions {
    static {
        System.out.println("loading");
        fail();
    }

    public String handler(String event) {
        return event;
    }

    private static void fail() {
        throw new ClassCastException("the module failed");
    }
}
