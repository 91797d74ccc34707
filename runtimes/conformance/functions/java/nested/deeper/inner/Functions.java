package nested.deeper.inner;

public class Functions {
    public String handler(String event) {
        return "inner";
    }
}
