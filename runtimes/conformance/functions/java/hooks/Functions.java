package hooks;

import com.aliyun.fc.runtime.Context;
import java.util.ArrayList;
import java.util.List;

/** What the cases of hooks run: README.md. */
public class Functions {
    private final List<String> called = new ArrayList<>();

    public List<String> handler(String event) {
        return called;
    }

    public void initializer(Context context) {
        called.add("initializer");
    }

    public void preFreeze(Context context) {
        call("preFreeze");
    }

    public void preStop(Context context) {
        call("preStop");
    }

    public void postThaw() {
        call("postThaw");
    }

    public void failing(Context context) throws Exception {
        throw new Exception("cannot freeze");
    }

    private void call(String hook) {
        called.add(hook);
        System.out.println(hook);
    }
}
