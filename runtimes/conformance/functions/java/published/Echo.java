package published;

import com.aliyun.fc.runtime.Context;
import com.aliyun.fc.runtime.FunctionInitializer;
import com.aliyun.fc.runtime.PreFreezeHandler;
import com.aliyun.fc.runtime.PreStopHandler;
import com.aliyun.fc.runtime.StreamRequestHandler;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/** Every interface of an event function, as its documentation has them. */
public class Echo implements StreamRequestHandler, FunctionInitializer, PreStopHandler, PreFreezeHandler {
    private String greeting = "";

    @Override
    public void initialize(Context context) {
        greeting = "hello ";
    }

    @Override
    public void handleRequest(InputStream input, OutputStream output, Context context) throws IOException {
        output.write(greeting.getBytes(StandardCharsets.UTF_8));
        if (new String(input.readAllBytes(), StandardCharsets.UTF_8).equals("fail")) throw new IOException("as asked");
        output.write(context.getRequestId().getBytes(StandardCharsets.UTF_8));
    }

    @Override
    public void preFreeze(Context context) {
        System.out.println("freezing");
    }

    @Override
    public void preStop(Context context) throws IOException {
        throw new IOException("cannot stop");
    }
}
