package start;

import com.aliyun.fc.runtime.Context;

/** What the cases of starts run: README.md. */
public class Functions {
    private String state = "fresh";

    public void initialize(Context context) {
        System.out.println("initializing");
        state = "initialized";
    }

    public void initializeFails(Context context) throws Exception {
        throw new Exception("no database");
    }

    public void initializeExits(Context context) {
        System.out.print("leaving");
        System.exit(0);
    }

    public String state(String event) {
        return state;
    }
}
