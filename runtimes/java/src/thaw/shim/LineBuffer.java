package thaw.shim;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** What was written to one source and is not yet a complete line. */
final class LineBuffer {
    private byte[] bytes = new byte[256];
    private int size;

    /** Takes bytes in and gives the LOG frames that are due: complete lines, and pieces of a line that is too long. */
    List<byte[]> add(int stream, int source, byte[] data, int offset, int length) {
        if (bytes.length - size < length) bytes = Arrays.copyOf(bytes, Math.max(2 * bytes.length, size + length));
        System.arraycopy(data, offset, bytes, size, length);
        int searchFrom = size;
        size += length;
        List<byte[]> frames = new ArrayList<>();
        int start = 0;
        int complete = lastLineEnd(searchFrom, size);
        while (true) {
            int limit = start + Frame.LOG_BYTES_MAX;
            int end = complete;
            if (size >= limit) {
                // Lines stay whole where they can; a character always does.
                end = lastLineEnd(start, limit);
                if (end <= start) end = characterEnd(limit);
            }
            if (end <= start) break;
            frames.add(frame(stream, source, start, end));
            start = end;
        }
        if (start > 0) {
            System.arraycopy(bytes, start, bytes, 0, size - start);
            size -= start;
        }
        return frames;
    }

    /** The frame for the line under way, or null where there is none. */
    byte[] end(int stream, int source) {
        if (size == 0) return null;
        byte[] frame = frame(stream, source, 0, size);
        size = 0;
        return frame;
    }

    private int lastLineEnd(int from, int to) {
        for (int i = to; i > from; i--) if (bytes[i - 1] == '\n') return i;
        return 0;
    }

    /** The last place up to {@code limit} where no UTF-8 character is cut. */
    private int characterEnd(int limit) {
        for (int end = limit; end > limit - 4; end--) {
            if (end == size || (bytes[end] & 0xc0) != 0x80) return end;
        }
        return limit;
    }

    private byte[] frame(int stream, int source, int start, int end) {
        for (int i = start; i < end; i++) {
            if (bytes[i] < 0) return validFrame(stream, source, start, end);
        }
        return Frame.log(stream, source, bytes, start, end - start);
    }

    /** As valid UTF-8: a PrintStream takes any bytes. Replaced ones grow, so what is too long then is cut. */
    private byte[] validFrame(int stream, int source, int start, int end) {
        byte[] valid = new String(bytes, start, end - start, StandardCharsets.UTF_8).getBytes(StandardCharsets.UTF_8);
        int length = valid.length;
        if (length > Frame.LOG_BYTES_MAX) {
            length = Frame.LOG_BYTES_MAX;
            while ((valid[length] & 0xc0) == 0x80) length--;
        }
        return Frame.log(stream, source, valid, 0, length);
    }
}
