package thaw.shim;

import java.io.IOException;
import java.io.InputStream;

/** The body of a request, as it comes. */
final class EventInput extends InputStream {
    private final Exchange exchange;

    EventInput(Exchange exchange) {
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
}
