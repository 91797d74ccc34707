package thaw.shim;

import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32;

/**
 * The function's class path in a virtual machine that was started without it. The last entry that it was started with is
 * an archive that is not there: the class loader opens it when a class is asked for that no earlier entry has, which is
 * when the function's first one is. By then it is there, and its manifest names what `java` would have been given.
 *
 * <p>So the function's classes have the loader that they always have, which is also the shim's: the published interfaces
 * come from the function's libraries, and both must mean the same ones.
 */
final class ClassPath {
    private static final String MANIFEST = "META-INF/MANIFEST.MF";
    /** In no other archive, so that a look for it opens this one and none behind it. */
    private static final String MARK = "thaw-class-path";
    /** A star that no archive fits stays one. */
    private static final String NOTHING = "*";
    private static final int LINE_BYTES_MAX = 70;
    private static final int NO_DATE = 0x21;
    private static final int HEADER_BYTES_MAX = 64;
    private static final int END_BYTES = 22;

    private ClassPath() {}

    /** Gives the function's class path to the class loader, which has to have found all that it was asked for so far. */
    static void open(File archive, String codePath, String layerPath) throws IOException {
        List<String> paths = pathsOf(codePath, layerPath);
        String before = System.getProperty("java.class.path");
        String shim = before.substring(0, before.indexOf(File.pathSeparatorChar) + 1);
        System.setProperty("java.class.path", shim + String.join(File.pathSeparator, paths));
        write(archive, paths);
        if (ClassLoader.getSystemResource(MARK) == null) throw new IOException("the class path was searched too early");
        // It stays open.
        if (!archive.delete()) throw new IOException(archive + " cannot be removed");
    }

    /** As on the command line of an ordinary start (README.md). */
    static List<String> pathsOf(String codePath, String layerPath) {
        List<String> paths = new ArrayList<>();
        paths.add(codePath + "/");
        addArchives(paths, codePath + "/");
        addArchives(paths, codePath + "/lib/");
        addArchives(paths, layerPath + "/java/lib/");
        return paths;
    }

    static void write(File archive, List<String> paths) throws IOException {
        StringBuilder line = new StringBuilder("Class-Path:");
        for (String path : paths) {
            if (path.endsWith("/" + NOTHING)) continue;
            line.append(' ').append(new File(path).toURI().getRawPath());
            if (path.endsWith("/") && line.charAt(line.length() - 1) != '/') line.append('/');
        }
        File unfinished = new File(archive.getPath() + ".new");
        try (FileOutputStream file = new FileOutputStream(unfinished)) {
            file.write(archiveOf(manifest(line.toString())));
        }
        if (!unfinished.renameTo(archive)) throw new IOException(archive + " cannot be written");
    }

    /** In the order of the directory, as {@code java} itself reads a star. */
    private static void addArchives(List<String> paths, String directory) {
        String[] names = new File(directory).list();
        int before = paths.size();
        for (String name : names == null ? new String[0] : names) {
            boolean isArchive = name.length() > 4 && (name.endsWith(".jar") || name.endsWith(".JAR"));
            if (isArchive && name.indexOf(File.pathSeparatorChar) < 0) paths.add(directory + name);
        }
        if (paths.size() == before) paths.add(directory + NOTHING);
    }

    private static byte[] manifest(String line) {
        StringBuilder text = new StringBuilder("Manifest-Version: 1.0\r\n");
        for (int at = 0; at < line.length(); ) {
            // What continues a line begins with a space, which counts.
            int count = Math.min(at == 0 ? LINE_BYTES_MAX : LINE_BYTES_MAX - 1, line.length() - at);
            text.append(at == 0 ? "" : " ").append(line, at, at + count).append("\r\n");
            at += count;
        }
        return text.append("\r\n").toString().getBytes(StandardCharsets.US_ASCII);
    }

    /**
     * An archive of manifest and mark, uncompressed. That of the JDK asks for the time zone, whose rules may come from the
     * class path: that would be opened too early, and the zone be that of the stem.
     */
    private static byte[] archiveOf(byte[] manifest) {
        ByteBuffer files = littleEndian(2 * HEADER_BYTES_MAX + manifest.length);
        ByteBuffer directory = littleEndian(2 * HEADER_BYTES_MAX);
        add(files, directory, MANIFEST, manifest);
        add(files, directory, MARK, new byte[0]);
        ByteBuffer archive = littleEndian(files.position() + directory.position() + END_BYTES);
        archive.put(files.array(), 0, files.position()).put(directory.array(), 0, directory.position());
        archive.putInt(0x06054b50).putInt(0).putShort((short) 2).putShort((short) 2);
        archive.putInt(directory.position()).putInt(files.position()).putShort((short) 0);
        return archive.array();
    }

    private static void add(ByteBuffer files, ByteBuffer directory, String name, byte[] content) {
        int offset = files.position();
        byte[] path = name.getBytes(StandardCharsets.US_ASCII);
        CRC32 checksum = new CRC32();
        checksum.update(content);
        ByteBuffer common = littleEndian(26);
        // Version, flags, method, time, date, checksum, both sizes, length of the name, no extras.
        common.putShort((short) 10).putInt(0).putShort((short) 0).putShort((short) NO_DATE);
        common.putInt((int) checksum.getValue()).putInt(content.length).putInt(content.length).putInt(path.length);
        files.putInt(0x04034b50).put(common.array()).put(path).put(content);
        // In between: no comment, first disk, no attributes.
        directory.putInt(0x02014b50).putShort((short) 10).put(common.array()).put(new byte[10]).putInt(offset).put(path);
    }

    private static ByteBuffer littleEndian(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }
}
