package thaw.shim;

import java.io.IOException;
import java.io.OutputStream;
import javax.servlet.ServletOutputStream;
import javax.servlet.WriteListener;

/** The body of a response. */
final class HttpOutput extends ServletOutputStream {
    private final OutputStream answer;

    HttpOutput(OutputStream answer) {
        this.answer = answer;
    }

    @Override
    public void write(int value) throws IOException {
        answer.write(value);
    }

    @Override
    public void write(byte[] data, int offset, int length) throws IOException {
        answer.write(data, offset, length);
    }

    @Override
    public void flush() throws IOException {
        answer.flush();
    }

    @Override
    public void close() throws IOException {
        answer.close();
    }

    public boolean isReady() {
        return true;
    }

    public void setWriteListener(WriteListener listener) {
        throw new IllegalStateException("the response is not asynchronous");
    }
}
