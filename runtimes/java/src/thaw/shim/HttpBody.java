package thaw.shim;

import java.io.IOException;
import javax.servlet.ReadListener;
import javax.servlet.ServletInputStream;

/** The body of a request, read as it comes. */
final class HttpBody extends ServletInputStream {
    private final Exchange exchange;

    HttpBody(Exchange exchange) {
        this.exchange = exchange;
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] into, int offset, int length) throws IOException {
        java.util.Objects.checkFromIndexSize(offset, length, into.length);
        return exchange.read(into, offset, length);
    }

    @Override
    public int available() {
        return exchange.available();
    }

    public boolean isFinished() {
        return exchange.isFullyRead();
    }

    public boolean isReady() {
        return exchange.available() > 0 || exchange.isFullyRead();
    }

    public void setReadListener(ReadListener listener) {
        throw new IllegalStateException("the request is not asynchronous");
    }
}
