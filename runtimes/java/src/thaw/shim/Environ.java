package thaw.shim;

import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * The variables of this process, which Java offers no way to change. A stem is started with more and longer ones than any
 * function has; those of its function are written over them where the kernel has put them: the texts in a row, and
 * before them on the stack a pointer to each. The virtual machine and programs that it starts read them from there, the
 * first time that they are asked for, which is later.
 */
final class Environ {
    private static final int POINTER_BYTES = 8;
    private static final int ARGUMENTS_MAX = 10_000;
    private static final int VARIABLES_MAX = 10_000;
    private static final int TEXT_BYTES_MAX = 1_048_576;

    // Of /proc/self/stat, counted from the field behind the name of the program.
    private static final int STACK_START = 25;
    private static final int TEXTS_START = 47;
    private static final int TEXTS_END = 48;

    private final long pointers;
    private final int slots;
    private final long texts;
    private final int room;

    private Environ(long pointers, int slots, long texts, int room) {
        this.pointers = pointers;
        this.slots = slots;
        this.texts = texts;
        this.room = room;
    }

    /** Finds where they are; throws where this system does not say so or keeps them otherwise. */
    static Environ find() throws IOException {
        String stat;
        try (FileInputStream file = new FileInputStream("/proc/self/stat")) {
            stat = new String(file.readAllBytes(), StandardCharsets.ISO_8859_1);
        }
        String[] fields = stat.substring(stat.lastIndexOf(')') + 2).trim().split(" ");
        if (fields.length <= TEXTS_END) throw new IOException("/proc/self/stat does not tell where variables are");
        long stack = Long.parseLong(fields[STACK_START]);
        long texts = Long.parseLong(fields[TEXTS_START]);
        long room = Long.parseLong(fields[TEXTS_END]) - texts;
        try (RandomAccessFile memory = openMemory()) {
            long arguments = readPointer(memory, stack);
            if (arguments < 1 || arguments > ARGUMENTS_MAX) throw new IOException("the stack begins otherwise");
            long pointers = stack + POINTER_BYTES * (arguments + 2);
            int slots = 0;
            while (readPointer(memory, pointers + (long) POINTER_BYTES * slots) != 0) {
                if (++slots > VARIABLES_MAX) throw new IOException("the variables do not end");
            }
            boolean areThere = slots > 0 && readPointer(memory, pointers) == texts;
            if (!areThere || room < 1 || room > TEXT_BYTES_MAX) throw new IOException("the variables are elsewhere");
            return new Environ(pointers, slots, texts, (int) room);
        }
    }

    /** All variables from now on. Throws where they do not fit or do not come out as they should. */
    void replace(Map<String, Object> variables) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(room);
        ByteBuffer addresses = ByteBuffer.allocate(POINTER_BYTES * (variables.size() + 1)).order(ByteOrder.nativeOrder());
        for (Map.Entry<String, Object> variable : variables.entrySet()) {
            addresses.putLong(texts + bytes.size());
            bytes.writeBytes((variable.getKey() + "=" + variable.getValue() + "\0").getBytes(StandardCharsets.UTF_8));
        }
        addresses.putLong(0);
        if (variables.size() > slots || bytes.size() > room) throw new IOException("there is no room for the variables");
        bytes.writeBytes(new byte[room - bytes.size()]);
        try (RandomAccessFile memory = openMemory()) {
            memory.seek(texts);
            memory.write(bytes.toByteArray());
            memory.seek(pointers);
            memory.write(addresses.array());
        }
        if (!System.getenv().equals(variables)) throw new IOException("the variables were read too early");
    }

    private static RandomAccessFile openMemory() throws IOException {
        return new RandomAccessFile("/proc/self/mem", "rw");
    }

    private static long readPointer(RandomAccessFile memory, long address) throws IOException {
        byte[] bytes = new byte[POINTER_BYTES];
        memory.seek(address);
        memory.readFully(bytes);
        return ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder()).getLong();
    }
}
