import com.aliyun.fc.runtime.Context;
import com.aliyun.fc.runtime.StreamRequestHandler;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;

/** The handler of the cold starts in Java; as a program it calls itself once. */
public class Hello implements StreamRequestHandler {
    @Override
    public void handleRequest(InputStream input, OutputStream output, Context context) throws IOException {
        input.readAllBytes();
        output.write("hello".getBytes());
    }

    public static void main(String[] args) throws IOException {
        new Hello().handleRequest(InputStream.nullInputStream(), System.out, null);
        System.out.flush();
    }
}
